"""compare as a gate: it must not pass by losing a part of a campaign."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from harness import errors
from harness.campaign import Plan
from harness.cli import main
from harness.cli.compare import Outcome
from harness.worker.measure import Record, Run, Sample
from tests.synthetic import run_of, samples_of, sealed, write_records

BASELINE, CANDIDATE = "baseline", "candidate"
pytestmark = pytest.mark.slow

LAYOUTS, STORES, BOOTS = (1000, 4000), ("refcounted", "strdup"), 3
NAMES = "distinct:79"
# Instructions of an unnamed fork, of one VMA more, and of its name by store.
_FORK, _VMA = 400_000, 750
_NAME = {"refcounted": 13, "strdup": 200}

Change = Callable[[Run], Run | None]
Spoil = Callable[[Sample], Sample | None]


def runs() -> Iterable[tuple[Run, int]]:
    """Every run of a whole campaign of the instruction clock, and what it costs."""
    for boot in range(BOOTS):
        position = 0
        for vmas in LAYOUTS:
            cost = _FORK + _VMA * vmas
            arms = [("refcounted", "none", cost)] * 2 + [
                (store, NAMES, cost + _NAME[store] * vmas) for store in STORES
            ]
            for store, naming, fork in arms:
                run = run_of(
                    run=f"{boot}-{position}", boot=boot, position=position, vmas=vmas,
                    store=store, naming=naming,
                )  # fmt: skip
                # No boot is quite like another, but identical arms are alike.
                yield run, fork + 40 * boot
                position += 1


def campaign(
    name: str,
    *,
    keep: Change = lambda run: run,
    spoil: Spoil = lambda sample: sample,
    slower: Callable[[Run], float] = lambda run: 1,
    plan: Plan | None = None,
) -> None:
    """Write a campaign: of the runs and samples that are left, as they are changed."""
    records: list[Record] = []
    for run, fork in runs():
        if (kept := keep(run)) is None:
            continue
        taken = samples_of(kept, [int(fork * slower(run))] * 3)
        samples = [s for sample in taken if (s := spoil(sample)) is not None]
        records += sealed([kept, *samples])
    folder = write_records(Path("results") / name, records)
    if plan is not None:
        document = {"plan": asdict(plan), "command": ["anonvma"], "began": ""}
        (folder / "plan.json").write_text(json.dumps(document))


PLAN = Plan(vmas=LAYOUTS, naming=(NAMES,), boots=BOOTS)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with a whole campaign to compare with."""
    monkeypatch.chdir(tmp_path)
    campaign(BASELINE)
    return tmp_path


def only(wanted: Callable[[Run], bool]) -> Change:
    return lambda run: run if wanted(run) else None


def invalid(sample: Sample) -> Sample:
    return replace(sample, valid=False, reason="the child ran before fork returned")


def spoilt(wanted: Callable[[Sample], bool]) -> Spoil:
    return lambda sample: invalid(sample) if wanted(sample) else sample


# Any: what json reads.
def compared(
    capsys: pytest.CaptureFixture[str], *arguments: str, form: str = "json"
) -> tuple[int, dict[str, Any], str]:
    """The status of compare, the document that it printed, and its text."""
    capsys.readouterr()
    status = main(["compare", *arguments, "--format", form])
    out = capsys.readouterr().out
    return status, json.loads(out) if form == "json" else {}, out


SMALL = "1000 VMAs, 0 pages"
LARGE = "4000 VMAs, 0 pages"
EVERY_LARGE = {
    f"{LARGE}, unnamed", f"{LARGE}, refcounted, {NAMES}", f"{LARGE}, strdup, {NAMES}",
}  # fmt: skip


def cells_missing(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["side"], each["cell"]) for each in document["missing"]}


@pytest.mark.long
@pytest.mark.parametrize(
    ("keep", "spoil", "lost", "why"),
    [
        (only(lambda run: run.vmas != 4000), lambda s: s, EVERY_LARGE, "not measured"),
        (only(lambda run: run.naming == "none"), lambda s: s,
         {f"{vmas}, {store}, {NAMES}" for vmas in (SMALL, LARGE) for store in STORES},
         "not measured"),
        (only(lambda run: run.store != "strdup"), lambda s: s,
         {f"{SMALL}, strdup, {NAMES}", f"{LARGE}, strdup, {NAMES}"}, "not measured"),
        (lambda run: run,
         spoilt(lambda s: s.metric == "fork" and s.value > 3_800_000),
         {f"{LARGE}, strdup, {NAMES}"}, "the child ran before fork returned"),
        (lambda run: run, lambda s: s if s.metric != "fork" or s.value < 3_800_000
         else None, {f"{LARGE}, strdup, {NAMES}"}, "no sample of fork"),
    ],
    ids=["layout", "names", "store", "every boot invalid", "no sample"],
)  # fmt: skip
@pytest.mark.parametrize("lost_by", ["first", "second"])
def test_a_lost_part_has_a_status_of_its_own_and_is_named(
    keep: Change,
    spoil: Spoil,
    lost: set[str],
    why: str,
    lost_by: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign(CANDIDATE, keep=keep, spoil=spoil)
    pair = [BASELINE, CANDIDATE] if lost_by == "second" else [CANDIDATE, BASELINE]

    status, document, _ = compared(capsys, *pair)

    assert status == Outcome.MISSING == document["status"]
    assert cells_missing(document) == {(lost_by, cell) for cell in lost}
    assert document["counts"]["missing"] == len(lost)
    assert all(why in each["why"] for each in document["missing"])


@pytest.mark.long
@pytest.mark.parametrize("form", ["text", "markdown", "mm"])
def test_every_format_names_what_is_missing_and_it_may_be_allowed(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign(CANDIDATE, keep=only(lambda run: run.vmas != 4000))

    for options, status in ([], Outcome.MISSING), (["--allow-missing"], Outcome.DONE):
        ended, _, text = compared(capsys, BASELINE, CANDIDATE, *options, form=form)
        assert ended == status
        shown = text.replace("\\", "")
        assert all(f"missing, second: fork, {cell}" in shown for cell in EVERY_LARGE)
        assert (
            f"3 cells compared, 3 equivalent, 3 missing; exit status {status}" in shown
        )


def test_a_whole_campaign_passes(capsys: pytest.CaptureFixture[str]) -> None:
    status, document, _ = compared(capsys, BASELINE, BASELINE)

    assert (status, document["statuses"], document["missing"]) == (0, [], [])
    assert document["fewer_boots"] == []


def test_a_lost_metric_is_missed_though_another_is_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign(CANDIDATE, spoil=lambda s: None if s.metric == "exit_reap" else s)

    status, document, _ = compared(capsys, BASELINE, CANDIDATE)

    assert status == Outcome.MISSING
    (lost,) = document["missing"]
    assert (lost["side"], lost["metric"]) == ("second", "exit_reap")
    # What the candidate has more is no loss.
    assert compared(capsys, CANDIDATE, BASELINE)[0] == Outcome.DONE


def test_a_metric_of_which_every_sample_is_invalid_is_missed_in_one_campaign(
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign(CANDIDATE, spoil=spoilt(lambda s: s.metric == "munmap"))

    status, document, _ = compared(capsys, CANDIDATE, "--margin", "50")

    assert status == Outcome.MISSING
    (lost,) = document["missing"]
    assert (lost["metric"], lost["cell"]) == ("munmap", "every cell")


@pytest.mark.long
def test_nothing_compared_is_no_pass_whatever_is_allowed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign(CANDIDATE, spoil=lambda s: None if s.metric == "fork" else s)

    for options in ([], ["--allow-missing"]):
        status, document, _ = compared(capsys, BASELINE, CANDIDATE, *options)
        assert status == Outcome.MISSING
        assert (document["cells"], document["trusted"]) == ([], False)
    assert (
        "nothing was compared" in compared(capsys, BASELINE, CANDIDATE, form="text")[2]
    )


def test_a_place_that_one_side_does_not_have_is_missed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def elsewhere(run: Run) -> Run:
        return replace(run, run=f"x{run.run}", machine="x86_64", cpu="another")

    campaign("elsewhere", keep=elsewhere)
    records = b"".join(
        (Path("results") / name / "records.jsonl").read_bytes()
        for name in (BASELINE, "elsewhere")
    )
    both = Path("results/both")
    both.mkdir()
    (both / "records.jsonl").write_bytes(records)

    status, document, _ = compared(capsys, "both", BASELINE)

    assert status == Outcome.MISSING
    missing = document["missing"]
    assert len(missing) == 6 == document["counts"]["cells"]
    assert all("x86_64" in each["where"] for each in missing)


def test_cells_that_both_plans_promised_are_missed_on_both_sides(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("one", "other"):
        campaign(name, keep=only(lambda run: run.vmas == 1000), plan=PLAN)

    status, document, _ = compared(capsys, "one", "other")

    assert status == Outcome.MISSING
    assert cells_missing(document) == {("both", cell) for cell in EVERY_LARGE}


@pytest.mark.long
@pytest.mark.parametrize("second", [[], [BASELINE]], ids=["arms", "two"])
@pytest.mark.parametrize(
    ("kernels", "kernel", "asked"),
    [
        ({"variants": ("switch", "refcount")}, "6.12 refcount", ["--variant=switch"]),
        ({"bases": ("6.12", "6.1")}, "6.1 switch", ["--base=6.12"]),
    ],
    ids=["variant", "base"],
)
def test_a_kernel_that_the_plan_has_and_nobody_measured_is_missed(
    kernels: dict[str, Any],
    kernel: str,
    asked: list[str],
    second: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign(CANDIDATE, plan=replace(PLAN, **kernels))

    status, document, _ = compared(capsys, CANDIDATE, *second, "--margin", "50")

    assert status == Outcome.MISSING
    (lost,) = document["missing"]
    assert lost["cell"] == "every cell"
    assert f"linux {kernel}, " in lost["where"]
    # The kernel that is asked for was measured whole.
    line = [CANDIDATE, *second, "--margin", "50", *asked]
    assert compared(capsys, *line)[0] == Outcome.DONE


@pytest.mark.parametrize("second", [[], [BASELINE]], ids=["arms", "two"])
def test_fewer_boots_than_planned_are_missed(
    second: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    campaign(CANDIDATE, keep=only(lambda run: run.boot < 2), plan=PLAN)

    status, document, _ = compared(capsys, CANDIDATE, *second, "--margin", "50")

    assert status == Outcome.MISSING
    fewer = [f for f in document["fewer_boots"] if f["by"] == "plan"]
    assert len(fewer) == (6 if second else 4)
    assert {(f["boots"], f["expected_boots"]) for f in fewer} == {(2, 3)}
    text = compared(capsys, CANDIDATE, *second, form="text")[2]
    assert "2 boots, its plan has 3" in text


def test_fewer_boots_than_the_other_side_are_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign(CANDIDATE, keep=only(lambda run: run.boot < 2))

    status, document, _ = compared(capsys, BASELINE, CANDIDATE)

    assert status == Outcome.DONE
    fewer = document["fewer_boots"]
    assert {(f["side"], f["by"], f["boots"]) for f in fewer} == {
        ("second", "other side", 2)
    }
    text = compared(capsys, BASELINE, CANDIDATE, form="text")[2]
    assert "2 boots, the other side has 3" in text


def test_blocks_of_a_boot_that_are_gone_are_missed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign(CANDIDATE, plan=replace(PLAN, blocks=2))

    status, _, text = compared(capsys, BASELINE, CANDIDATE, form="text")

    assert status == Outcome.MISSING
    assert "3 blocks, its plan has 6" in text


@pytest.mark.parametrize(
    ("keep", "lost", "why"),
    [
        (lambda r: None if r.naming == "none" and r.vmas == 4000 else r,
         {f"{LARGE}, refcounted, {NAMES}", f"{LARGE}, strdup, {NAMES}"},
         "its partner, 4000 VMAs, 0 pages, unnamed: it was not measured"),
        (lambda r: None if r.naming != "none" and r.vmas == 4000 else r,
         {f"{LARGE}, named"}, "it was not measured"),
    ],
    ids=["unnamed gone", "named gone"],
)  # fmt: skip
def test_arms_without_a_partner_are_missed(
    keep: Change, lost: set[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign(CANDIDATE, keep=keep)

    status, document, _ = compared(capsys, CANDIDATE, "--margin", "50")

    assert status == Outcome.MISSING
    assert cells_missing(document) == {("first", cell) for cell in lost}
    assert all(why in each["why"] for each in document["missing"])


def test_arms_that_the_plan_promised_are_missed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign(CANDIDATE, keep=only(lambda run: run.vmas == 1000), plan=PLAN)

    status, document, _ = compared(capsys, CANDIDATE, "--margin", "50")

    assert status == Outcome.MISSING
    assert cells_missing(document) == {
        ("first", f"{LARGE}, {store}, {NAMES}") for store in STORES
    }


def uneven(run: Run) -> float:
    """The second of two identical processes of 1000 VMAs is slower than the first."""
    return 1.05 if run.vmas == 1000 and run.position == 1 else 1


def test_an_aa_alarm_elsewhere_voids_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign(CANDIDATE, slower=uneven)
    campaign("large", keep=only(lambda run: run.vmas == 4000))

    status, document, _ = compared(capsys, "large", CANDIDATE, "--allow-missing")
    assert (status, document["trusted"]) == (Outcome.DONE, True)
    assert document["aa_checks"] == {"count": 2, "failed": 0}

    status, document, text = compared(capsys, BASELINE, CANDIDATE)
    assert (status, document["trusted"]) == (Outcome.UNTRUSTED, False)
    trusted = {c["cell"]: c["trusted"] for c in document["cells"]}
    assert all(held == cell.startswith(LARGE) for cell, held in trusted.items())
    text = compared(capsys, BASELINE, CANDIDATE, form="text")[2]
    assert "1 of 4 pairs of identical arms differ: 3 VERDICTS BELOW CANNOT BE" in text


def test_the_first_status_that_applies_is_the_exit_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def both(run: Run) -> float:
        return 1.5 if run.vmas == 4000 else uneven(run)

    def without_copies(run: Run) -> Run | None:
        return None if run.store == "strdup" else run

    campaign("all three", slower=both, keep=without_copies)
    campaign("two", slower=uneven, keep=without_copies)

    status, document, _ = compared(capsys, BASELINE, "all three")
    assert status == Outcome.REGRESSED
    assert document["statuses"] == ["regressed", "untrusted", "missing"]
    status, document, _ = compared(capsys, BASELINE, "two")
    assert status == Outcome.UNTRUSTED
    assert document["statuses"] == ["untrusted", "missing"]


def test_a_verdict_that_is_not_trusted_is_no_regression(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def slower(run: Run) -> float:
        return 2 if uneven(run) != 1 else 1.5 if run.vmas == 1000 else 1

    campaign(CANDIDATE, slower=slower)

    status, document, text = compared(capsys, BASELINE, CANDIDATE)

    assert (status, document["regressed"]) == (Outcome.UNTRUSTED, False)
    assert document["counts"]["regressed"] == 3
    text = compared(capsys, BASELINE, CANDIDATE, form="text")[2]
    assert text.count("regressed, not trusted") == 3


def test_statuses_of_compare_are_those_of_no_error() -> None:
    taken = {
        error.status
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.HarnessError)
    } | {130}

    # 1 is that of every check that failed.
    assert {*map(int, Outcome)} & taken == {int(Outcome.REGRESSED)} == {1}
    assert len({*map(int, Outcome)}) == len(Outcome)


@pytest.mark.long
def test_a_reader_that_stops_early_changes_no_status(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    campaign(CANDIDATE, slower=lambda run: 2)
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-m", "harness", "compare", BASELINE, CANDIDATE],
        stdout=writing, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)

    assert done.returncode == Outcome.REGRESSED, done.stderr
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"vmas": 7}, "a list of numbers, not 7"),
        ({"vmas": ["x"]}, "a number from 1, not 'x'"),
        ({"naming": ["odd"]}, "'odd' is not a naming scheme"),
        ({"boots": 10**9}, "more than 1000000 processes"),
        ({"naming": [3]}, "a list of texts"),
    ],
)
def test_a_plan_that_promises_nothing_readable_is_one_error(
    plan: dict[str, object], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign(CANDIDATE, plan=PLAN)
    path = Path("results") / CANDIDATE / "plan.json"
    document = json.loads(path.read_text())
    document["plan"] |= plan
    path.write_text(json.dumps(document))

    assert main(["compare", BASELINE, CANDIDATE]) == 2
    assert words in capsys.readouterr().err


def test_the_guide_says_every_key_of_the_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    campaign(CANDIDATE, keep=only(lambda run: run.boot < 2 and run.store != "strdup"))
    _, document, _ = compared(capsys, BASELINE, CANDIDATE)
    path = Path(__file__).parents[2] / "harness/guides/reading-results.md"
    told = path.read_text().partition(document["schema"])[2].partition("\n## ")[0]
    keys = {*document} | {*document["counts"], *document["aa_checks"]}
    for name in ("cells", "missing", "fewer_boots"):
        keys |= {*document[name][0]}
    keys |= {*document["cells"][0]["first"], *document["cells"][0]["change_percent"]}

    assert {key for key in keys - {"schema"} if f"`{key}`" not in told} == set()
