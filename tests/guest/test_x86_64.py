"""x86-64 guests under QEMU, and several targets in one campaign."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.analysis import load
from harness.cli import main
from harness.targets import Accelerator, QemuTarget
from harness.worker.measure import Record, Run, Sample
from harness.workload import Store
from tests.jobs import job_of

pytestmark = pytest.mark.guest

Boot = Callable[..., QemuTarget]

PLAN = """
vmas = [400]
naming = ["distinct:79"]
boots = 1
repetitions = 2
"""


@pytest.mark.parametrize("base", ["6.12", "6.1"])
def test_an_x86_64_guest_counts_instructions(
    boot_target: Boot, console: Path, base: str
) -> None:
    records: list[Record] = []
    target = boot_target("refcount", base, arch="x86_64")
    job = job_of(
        [(Store.REFCOUNTED, 2000, 0, "none"), (Store.REFCOUNTED, 2000, 0, "shared:9")],
        stores=(Store.REFCOUNTED,),
        variant="refcount",
        base=base,
    )

    target.run_job(job, records.append, console)

    runs = [r for r in records if isinstance(r, Run)]
    forks = [r for r in records if isinstance(r, Sample) and r.metric == "fork"]
    assert {(run.machine, run.unit) for run in runs} == {("x86_64", "insns")}
    assert all(fork.valid for fork in forks)
    facts = target.ask_facts(console)
    assert (facts.counts.value, facts.stores) == ("insns", (Store.REFCOUNTED,))


def test_emulation_without_instructions_is_recorded_as_not_usable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "run", "--arch", "x86_64", "--accel", "tcg", "--vmas", "100", "--naming",
        "distinct:9", "--boots", "1", "--repetitions", "1", "--name", "n",
        "--results", str(tmp_path),
    ]  # fmt: skip

    assert main(arguments) == 0

    frame = load(tmp_path / "n")
    assert not frame["valid"].any()
    assert set(frame["unit"]) == {"ns"}
    assert "wall-clock under emulation is neither" in capsys.readouterr().out
    assert Accelerator("tcg") is Accelerator.TCG


def test_one_plan_on_three_targets_is_one_campaign_with_its_clocks_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)

    status = main(
        ["run", "--plan", str(tmp_path / "plan.toml"), "--target", "uml,qemu",
         "--arch", "aarch64,x86_64", "--accel", "icount", "--name", "everywhere",
         "--results", str(tmp_path)]
    )  # fmt: skip

    out = capsys.readouterr().out
    assert status == 0
    titles = [line for line in out.splitlines() if line.startswith("What names")]
    assert [title.rpartition("switch, ")[2] for title in titles] == [
        "qemu aarch64 (tcg icount shift=0)",
        "qemu x86_64 (tcg icount shift=0)",
        "uml x86_64 (native)",
    ]
    frame = load(tmp_path / "everywhere" / "records.parquet")
    units = frame[["target", "machine", "unit"]].drop_duplicates()
    assert sorted(units.itertuples(index=False, name=None)) == [
        ("qemu", "aarch64", "insns"),
        ("qemu", "x86_64", "insns"),
        ("uml", "x86_64", "ns"),
    ]
