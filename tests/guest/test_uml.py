"""User-Mode Linux: measures, ends in clear errors, and leaves the host alone."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import EnvironmentFault, GuestHung, GuestPanicked, JobFailed
from harness.linux import read_sysctl
from harness.targets import Deadlines, UmlTarget
from harness.targets import uml as uml_module
from harness.worker.measure import Record, Run, Sample
from harness.worker.measure.conditions import SILICON_GUEST
from harness.workload import Store
from tests.jobs import job_of

pytestmark = pytest.mark.guest

Uml = Callable[..., UmlTarget]

# What root in a guest may try on the host's files, and how it should end.
INTRUDER = """
import errno, os, subprocess, sys
from pathlib import Path
victim, folder, host_name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
def attempt(what, act):
    try:
        act()
    except OSError as error:
        assert error.errno in (errno.EROFS, errno.EACCES, errno.EPERM), error
    else:
        print("could", what)
def try_all():
    attempt("create", lambda: (folder / "created").write_text("x"))
    attempt("change", lambda: victim.write_text("x"))
    attempt("append", lambda: victim.open("a").write("x"))
    attempt("delete", lambda: victim.unlink())
    attempt("rename", lambda: victim.rename(folder / "renamed"))
    attempt("chmod", lambda: victim.chmod(0o777))
    attempt("link", lambda: os.link(victim, folder / "linked"))
    attempt("symlink", lambda: os.symlink("/", folder / "symlinked"))
    attempt("mkdir", lambda: (folder / "made").mkdir())
    attempt("truncate", lambda: os.truncate(victim, 0))
try_all()
subprocess.run(["mount", "-o", "remount,rw", "/"], check=True)
try_all()
# Past the guest's own mounts, to what the host has there.
Path("/run/host").mkdir()
subprocess.run(["mount", "-t", "hostfs", "none", "/run/host"], check=True)
inside = Path("/run/host")
attempt("sysctl", lambda: (inside / "proc/sys/kernel/hostname").write_text("owned"))
attempt("sysrq", lambda: (inside / "proc/sysrq-trigger").write_text("h"))
attempt("sysfs", lambda: (inside / "sys/kernel/mm/ksm/run").write_text("0"))
victim, folder = inside / str(victim)[1:], inside / str(folder)[1:]
try_all()
print("tried", victim.read_text())
"""


# User-Mode Linux has no sysrq to crash it with.
PANIC = """
from pathlib import Path
Path("/proc/sys/vm/panic_on_oom").write_text("2")
Path("/proc/sys/vm/overcommit_memory").write_text("1")
b"x" * (4 << 30)
"""


def run_in(target: UmlTarget, argv: list[str], console: Path) -> tuple[int, str]:
    output = bytearray()
    status = target.run_command(argv, output.extend, console)
    return status, output.decode()


def test_root_in_a_guest_can_change_nothing_of_the_host(
    uml_target: Uml, console: Path, tmp_path: Path
) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "folder"
    victim.write_text("untouched")
    folder.mkdir()
    before = read_sysctl("kernel.hostname"), victim.stat()

    status, output = run_in(
        uml_target(),
        ["python3", "-c", INTRUDER, str(victim), str(folder), before[0]],
        console,
    )

    assert output == "tried untouched\n"
    assert status == 0
    assert list(folder.iterdir()) == []
    after = read_sysctl("kernel.hostname"), victim.stat()
    assert after[0] == before[0]
    assert after[1].st_mtime_ns == before[1].st_mtime_ns
    assert after[1].st_mode == before[1].st_mode


def test_the_intruder_finds_a_folder_that_is_shared(
    uml_target: Uml, console: Path, tmp_path: Path
) -> None:
    """The test before this one can fail."""
    shared = tmp_path / "shared"
    shared.mkdir()
    target = replace(uml_target(), share=(shared,))

    status, output = run_in(target, ["sh", "-c", f"echo hi > {shared}/new"], console)

    assert (status, output) == (0, "")
    assert (shared / "new").read_text() == "hi\n"


def test_the_environment_s_packages_are_there(uml_target: Uml, console: Path) -> None:
    program = "import pandas, psutil, hypothesis, harness; print(psutil.Process().pid)"

    status, output = run_in(uml_target(), ["python3", "-c", program], console)

    assert status == 0, output
    assert int(output) < 100


@pytest.mark.parametrize("base", ["6.12", "6.1"])
def test_both_stores_are_measured_in_nanoseconds(
    uml_target: Uml, console: Path, base: str
) -> None:
    records: list[Record] = []
    job = job_of(
        [
            (Store.REFCOUNTED, 2000, 0, "distinct:79"),
            (Store.STRDUP, 2000, 0, "distinct:79"),
        ],
        conditions=replace(SILICON_GUEST, target="uml"),
        base=base,
    )

    uml_target("switch", base).run_job(job, records.append, console)

    runs = [r for r in records if isinstance(r, Run)]
    samples = [r for r in records if isinstance(r, Sample)]
    assert [run.store for run in runs] == ["refcounted", "strdup"]
    assert {run.target for run in runs} == {"uml"}
    assert {run.fifo for run in runs} == {True}
    assert {s.unit for s in samples} == {"ns"}
    assert all(s.valid and s.value > 0 for s in samples)
    assert {s.store for s in samples} == {"refcounted", "strdup"}


def test_a_panic_a_hang_and_a_dead_worker_are_three_errors(
    uml_target: Uml, console: Path
) -> None:
    with pytest.raises(GuestPanicked, match="Out of memory: compulsory panic_on_oom"):
        run_in(uml_target(), ["python3", "-c", PANIC], console)

    hung = uml_target(deadlines=Deadlines(boot_s=60, silence_s=2))
    with pytest.raises(GuestHung, match="wrote nothing for 2 s"):
        run_in(hung, ["sh", "-c", "echo begun; sleep 1000"], console)

    job = job_of([(Store.REFCOUNTED, 10, 0, "none")], stores=(Store.ABSENT,),
                 conditions=SILICON_GUEST)  # fmt: skip
    with pytest.raises(JobFailed, match="exit status 4"):
        uml_target().run_job(job, lambda _: None, console)


def test_more_written_pages_than_the_host_can_map_are_refused(
    uml_target: Uml, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uml_module, "read_sysctl", lambda name: "65530")
    job = job_of([(Store.REFCOUNTED, 65_536, 1, "none")], conditions=SILICON_GUEST)

    with pytest.raises(EnvironmentFault, match=r"sysctl vm\.max_map_count=70536"):
        uml_target().run_job(job, lambda _: None, console)


def test_the_running_kernel_is_measured_where_it_has_names(
    uml_target: Uml, console: Path
) -> None:
    """``--target host`` in a guest that has the feature; results go to its memory."""
    argv = [
        "python3", "-m", "harness", "run", "--target", "host", "--vmas", "3000",
        "--naming", "distinct:79", "--boots", "2", "--repetitions", "2",
        "--results", "/run/results",
    ]  # fmt: skip

    status, output = run_in(uml_target("refcount"), argv, console)

    assert status == 0, output
    assert "kernel host, host x86_64 (native)" in output
    assert "distinct:79" in output


def test_a_kernel_without_names_says_so_and_ends_with_status_4(
    uml_target: Uml, console: Path
) -> None:
    argv = [
        "python3", "-m", "harness", "run", "--target", "host", "--vmas", "100",
        "--boots", "1", "--repetitions", "1", "--results", "/run/results",
    ]  # fmt: skip

    status, output = run_in(uml_target("none"), argv, console)
    unnamed, table = run_in(uml_target("none"), [*argv, "--naming", "none"], console)

    assert status == 4
    assert "cannot name memory: the probe gave a valid name" in output
    assert "anonvma run --target uml" in output
    assert unnamed == 0, table
    assert "What fork costs without names" in table


def test_a_kernel_of_one_s_own_is_asked_what_it_is(
    uml_target: Uml, tmp_path: Path
) -> None:
    image = uml_target("strdup").kernel
    argv = [
        sys.executable, "-m", "harness", "run", "--kernel", str(image), "--vmas",
        "500", "--naming", "distinct:40", "--boots", "1", "--repetitions", "1",
        "--results", str(tmp_path), "--name", "own",
    ]  # fmt: skip

    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "linux 6.12, kernel own, uml x86_64 (native)" in done.stdout
    assert '"store":"strdup"' in (tmp_path / "own/records.jsonl").read_text()


@pytest.mark.parametrize("base", ["6.12", "6.1"])
def test_a_guest_has_random_numbers_at_once(
    uml_target: Uml, base: str, console: Path
) -> None:
    ask = "import os; os.getrandom(32, os.GRND_NONBLOCK); os.urandom(32)"
    argv = [sys.executable, "-S", "-c", ask]

    assert uml_target("refcount", base).run_command(argv, print, console) == 0
