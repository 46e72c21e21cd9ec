import json
import marshal
import os
import platform
import re
import shutil
import sys
from pathlib import Path

import pytest

from harness.errors import EnvironmentFault, GuestLost, GuestPanicked, UnsupportedError
from harness.host.paths import package_dir
from harness.targets import UmlTarget, channel, uml
from harness.workload import Store
from tests.jobs import job_of

FAKE = f"""#!{sys.executable} -IS
import json, os, re, shutil, sys
words = sys.argv[1:]
folder = os.path.dirname(os.path.dirname(sys.argv[0]))
with open(folder + "/argv.json", "w") as file:
    json.dump(words, file)
def say(line, text):
    fd = re.search(f" ssl{{line}}=fd:([0-9]+) ", " ".join(words))[1]
    os.write(int(fd), text.encode())
def end(code):
    say(0, '{{"kind": "status", "code": %d}}\\n' % code)
"""

# The job's folder is there only as long as the guest runs.
KEEP_JOB = """
shutil.copytree(words[words.index("/dev/shm/job") - 1], folder + "/job")
end(0)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has bin, the first folder of PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(channel, "_POLL_S", 0.01)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


def target_of(folder: Path, program: str, *share: Path) -> UmlTarget:
    """A target whose bwrap runs a few lines of Python instead."""
    path = folder / "bin" / "bwrap"
    path.write_text(FAKE + program)
    path.chmod(0o755)
    return UmlTarget(kernel=folder / "linux", share=share)


def run_true(target: UmlTarget, console: Path, *, mib: int = 700) -> int:
    return target.run_command(["true"], lambda chunk: None, console, mib=mib)


def argv_of(folder: Path, console: Path, *share: Path, mib: int = 700) -> list[str]:
    """What a guest was started with, after ``bwrap``."""
    run_true(target_of(folder, "end(0)", *share), console, mib=mib)
    found = json.loads((folder / "argv.json").read_text())
    assert isinstance(found, list)
    return found


def confinement(argv: list[str]) -> list[str]:
    return argv[: argv.index("--")]


def triples(argv: list[str]) -> list[tuple[str, str, str]]:
    return list(zip(argv, argv[1:], argv[2:], strict=False))


def position(argv: list[str], *words: str) -> int:
    """Where these words stand, one after the other."""
    (at,) = (i for i in range(len(argv)) if tuple(argv[i : i + len(words)]) == words)
    return at


def test_the_root_is_read_only_and_no_other_namespace_is_shared(
    folder: Path, console: Path
) -> None:
    confined = confinement(argv_of(folder, console))

    assert ("--ro-bind", "/", "/") in triples(confined)
    assert "--unshare-all" in confined
    assert "--die-with-parent" in confined
    # What is written to is memory of its own.
    assert "--bind" not in confined
    assert not {w for w in confined if w.endswith(("-try", "--dev-bind"))}


def test_proc_is_read_only_and_its_own(folder: Path, console: Path) -> None:
    confined = confinement(argv_of(folder, console))

    mounted = position(confined, "--proc", "/proc")
    assert position(confined, "--ro-bind", "/", "/") < mounted
    assert mounted < position(confined, "--remount-ro", "/proc")


def test_what_is_shared_can_be_written_over_the_root_that_cannot(
    folder: Path, console: Path
) -> None:
    shares = (folder / "a b", folder / "c")
    for share in shares:
        share.mkdir()

    confined = confinement(argv_of(folder, console, *shares))

    root = position(confined, "--ro-bind", "/", "/")
    for share in shares:
        assert root < position(confined, "--bind", str(share), str(share))
    assert confined.count("--bind") == 2


def test_a_share_is_the_folder_that_a_link_leads_to(
    folder: Path, console: Path
) -> None:
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")

    confined = confinement(argv_of(folder, console, folder / "link"))

    assert ("--bind", f"{folder}/real", f"{folder}/real") in triples(confined)


def test_the_job_is_read_only_and_goes_with_the_guest(
    folder: Path, console: Path
) -> None:
    argv = argv_of(folder, console)

    confined = confinement(argv)
    job = confined[confined.index("/dev/shm/job") - 1]
    bound = position(confined, "--ro-bind", job, "/dev/shm/job")
    assert position(confined, "--tmpfs", "/dev/shm") < bound
    assert not Path(job).exists()


def test_files_of_a_command_come_with_its_job_and_can_be_run(
    folder: Path, console: Path
) -> None:
    target = target_of(folder, KEEP_JOB)

    target.run_command(
        [target.path_in_guest("program")], lambda chunk: None, console,
        files={"program": b"\x7fELF"},
    )  # fmt: skip

    program = folder / "job" / "program"
    assert program.read_bytes() == b"\x7fELF"
    assert os.access(program, os.X_OK)
    # As init copies the job there.
    words = marshal.loads((folder / "job" / "init.job").read_bytes())
    assert words["argv"] == ["/run/job/program"]


def test_the_job_is_init_and_what_it_is_told(folder: Path, console: Path) -> None:
    (folder / "shared").mkdir()
    target = target_of(folder, KEEP_JOB, folder / "shared")

    run_true(target, console)

    kept = {path.name: path.read_bytes() for path in (folder / "job").iterdir()}
    assert sorted(kept) == ["bundle", "guest_init.py", "init", "init.job"]
    for name, source in (("init", "guest_start.py"), ("guest_init.py",) * 2):
        assert kept[name] == (package_dir() / "worker" / source).read_bytes()
    words = marshal.loads(kept["init.job"])
    env = words.pop("env")
    assert len(bytes.fromhex(words.pop("entropy"))) == 32
    assert words == {
        "argv": ["true"],
        "worker": None,
        "stdout": "output",
        "ports": "serial",
        "end": "poweroff",
        "cwd": str(Path.cwd()),
        "share": [str(folder / "shared")],
    }
    assert env["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert env["PYTHONPATH"] == str(package_dir().parent)
    assert env["PYTHONHASHSEED"] == "0"


def test_a_job_of_a_worker_is_in_its_folder(folder: Path, console: Path) -> None:
    job = job_of([(Store.REFCOUNTED, 1000, 0, "none")])

    target_of(folder, KEEP_JOB).run_job(job, lambda record: None, console)

    words = marshal.loads((folder / "job/init.job").read_bytes())
    assert words["worker"] == "harness.worker.measure.worker"
    assert words["argv"] == ["/run/job/job.json"]
    assert json.loads((folder / "job/job.json").read_text())["campaign"] == "test"


def linux_argv(argv: list[str]) -> list[str]:
    """The words of the kernel's own, after what confines it."""
    first = position(argv, "--", "prlimit", "--core=0", "taskset", "--cpu-list")
    return argv[first + 6 :]


def test_the_guest_has_one_cpu_of_those_that_we_may_use(
    folder: Path, console: Path
) -> None:
    argv = argv_of(folder, console)

    cpu = int(argv[argv.index("--cpu-list") + 1])
    assert cpu in os.sched_getaffinity(0)


def test_the_kernel_has_its_memory_and_root_and_leaves_no_core(
    folder: Path, console: Path
) -> None:
    argv = argv_of(folder, console, mib=1234)

    kernel, *words = linux_argv(argv)
    assert kernel == str(folder / "linux")
    assert {
        "mem=1234M", "root=hostfs", "rootfstype=hostfs", "ro", "panic=-1",
        "uml_dir=/dev/shm/",
    } <= {*words}  # fmt: skip
    assert "rw" not in words
    # The guest's memory is a file in TMPDIR, which must be memory too.
    assert ("--setenv", "TMPDIR", "/dev/shm") in triples(confinement(argv))


def test_the_kernel_starts_python_with_init(folder: Path, console: Path) -> None:
    words = linux_argv(argv_of(folder, console))

    assert words[-4:] == [
        f"init={os.path.realpath(sys.executable)}", "--", "-S", "/dev/shm/job/init",
    ]  # fmt: skip
    # Its interpreter becomes the worker's, whose heap no seed may change.
    assert "PYTHONHASHSEED=0" in words


def test_each_port_is_a_serial_line_and_the_console_has_no_input(
    folder: Path, console: Path
) -> None:
    words = linux_argv(argv_of(folder, console))

    lines = [word for word in words if re.match(r"(con|ssl)\d?=", word)]
    patterns = [
        "con=null", "con0=null,fd:1", "ssl=null", r"ssl0=fd:\d+", r"ssl1=fd:\d+"
    ]  # fmt: skip
    assert len(lines) == len(patterns)
    for pattern, line in zip(patterns, lines, strict=True):
        assert re.fullmatch(pattern, line)


@pytest.mark.parametrize(("code", "status"), [(0, 0), (7, 7), (-9, 128 + 9)])
def test_a_command_s_status_is_returned(
    folder: Path, console: Path, code: int, status: int
) -> None:
    assert run_true(target_of(folder, f"end({code})"), console) == status


def test_output_and_console_are_kept_apart(folder: Path, console: Path) -> None:
    output = bytearray()
    target = target_of(folder, "print('console', flush=True); say(1, 'out'); end(0)")

    target.run_command(["true"], output.extend, console)

    assert output == b"out"
    assert console.read_text() == "console\n"


def test_a_bwrap_that_refuses_is_told_with_its_words(
    folder: Path, console: Path
) -> None:
    target = target_of(folder, "sys.exit('bwrap: no \\x1b[31mnamespace')")

    with pytest.raises(
        EnvironmentFault, match=r"not start: bwrap: no \\x1b\[31mnamespace$"
    ):
        run_true(target, console)


def test_a_guest_that_goes_away_is_lost(folder: Path, console: Path) -> None:
    with pytest.raises(GuestLost, match="without a status"):
        run_true(target_of(folder, "print('up')"), console)


def test_a_panic_is_told(folder: Path, console: Path) -> None:
    target = target_of(folder, "print('Kernel panic - not syncing: why')")

    with pytest.raises(GuestPanicked, match=r"the guest panicked: .*: why\n"):
        run_true(target, console)


@pytest.mark.parametrize(
    ("missing", "package"),
    [("bwrap", "bubblewrap"), ("prlimit", "util-linux"), ("taskset", "util-linux")],
)
def test_a_program_that_is_missing_is_named_with_its_package(
    folder: Path,
    console: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    package: str,
) -> None:
    target = target_of(folder, "end(0)")
    for other in ("prlimit", "taskset"):
        shutil.copy(folder / "bin/bwrap", folder / "bin" / other)
    (folder / "bin" / missing).unlink()
    monkeypatch.setenv("PATH", str(folder / "bin"))

    with pytest.raises(EnvironmentFault) as raised:
        run_true(target, console)

    assert str(raised.value) == (
        f"{missing} is missing; as root: apt-get install {package}"
    )
    assert not (folder / "argv.json").exists()


def test_another_machine_is_told_what_it_can_use(
    folder: Path, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")

    with pytest.raises(UnsupportedError) as raised:
        run_true(target_of(folder, "end(0)"), console)

    assert str(raised.value) == (
        "User-Mode Linux runs on x86-64 only; use --target qemu or --target host"
    )
    assert not (folder / "argv.json").exists()


def map_count_is(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    def read(name: str) -> str:
        assert name == "vm.max_map_count"
        return f"{limit}"

    monkeypatch.setattr(uml, "read_sysctl", read)


CELLS = [
    (Store.REFCOUNTED, 1_000_000, 0, "none"),
    (Store.REFCOUNTED, 1000, 100, "none"),
    (Store.REFCOUNTED, 10, 16, "none"),
]


def test_a_job_s_written_pages_must_fit_in_the_mappings_of_this_machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = target_of(folder, "end(0)")
    map_count_is(monkeypatch, 105_000)
    target.check_job(job_of(CELLS))
    map_count_is(monkeypatch, 104_999)

    with pytest.raises(EnvironmentFault) as raised:
        target.check_job(job_of(CELLS))

    words = str(raised.value)
    assert "writes 100000 pages" in words
    assert "vm.max_map_count is 104999" in words
    assert "as root: sysctl vm.max_map_count=105000" in words
    assert "--target qemu" in words


def test_what_is_not_written_needs_no_mappings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    map_count_is(monkeypatch, 65_530)

    target_of(folder, "end(0)").check_job(job_of(CELLS[:1]))


def test_a_job_that_does_not_fit_is_not_started(
    folder: Path, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    map_count_is(monkeypatch, 65_530)

    with pytest.raises(EnvironmentFault, match="writes 100000 pages"):
        target_of(folder, "end(0)").run_job(job_of(CELLS), lambda record: None, console)

    assert not (folder / "argv.json").exists()
