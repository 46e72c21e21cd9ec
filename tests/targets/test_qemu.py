import itertools
import marshal
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.arch import QEMU_ARCHES, arch_named
from harness.errors import (
    BadRecord,
    EnvironmentFault,
    GuestHung,
    GuestLost,
    GuestPanicked,
    JobFailed,
)
from harness.targets import Deadlines, QemuTarget, channel, memory_mib, qemu
from harness.targets.qemu import Accelerator, qemu_argv
from harness.worker.measure import Record, RunEnd, parse_job
from harness.workload import Store
from tests.jobs import job_of
from tests.targets.test_cpio import read_cpio

ARM64 = arch_named("aarch64")
ROOT = b"the root, sixteen"[:16]


def argv_of(console: str = "stdio") -> list[str]:
    return qemu_argv(
        ARM64,
        Accelerator.ICOUNT,
        kernel=Path("/k/image"),
        initrd=Path("/proc/self/fd/9"),
        mib=700,
        console=console,
        ports={"records": 5, "output": 6},
    )


def test_the_guest_counts_instructions_on_one_processor() -> None:
    argv = argv_of()

    assert argv[0] == "qemu-system-aarch64"
    options = dict(itertools.pairwise(argv))
    assert options["-accel"] == "tcg"
    assert options["-icount"] == "shift=0,sleep=off"
    assert options["-smp"] == "1"
    assert options["-m"] == "700M"


def test_the_guest_boots_the_kernel_and_ends_when_it_panics() -> None:
    argv = argv_of()

    options = dict(itertools.pairwise(argv))
    assert options["-kernel"] == "/k/image"
    assert options["-initrd"] == "/proc/self/fd/9"
    words = {*options["-append"].split()}
    assert {"console=ttyAMA0", "rdinit=/job/init", "panic=-1"} <= words
    # Init's interpreter becomes the worker's, whose heap no seed may change.
    assert "PYTHONHASHSEED=0" in words
    assert "-no-reboot" in argv


def test_each_port_is_a_socket_and_a_device_behind_its_bus() -> None:
    words = " ".join(argv_of())

    assert (
        "-chardev socket,id=records,fd=5 "
        "-device virtserialport,chardev=records,name=harness.records "
        "-chardev socket,id=output,fd=6 "
        "-device virtserialport,chardev=output,name=harness.output"
    ) in words
    assert words.index("virtio-serial-device") < words.index("virtserialport")


def test_the_console_goes_where_it_should() -> None:
    words = " ".join(argv_of("file,path=/c"))

    assert "-chardev file,path=/c,id=console -serial chardev:console" in words


@pytest.mark.parametrize("arch", QEMU_ARCHES)
@pytest.mark.parametrize("accelerator", Accelerator)
def test_nothing_of_the_host_is_given_to_a_guest(
    arch: str, accelerator: Accelerator
) -> None:
    argv = qemu_argv(
        arch_named(arch), accelerator, kernel=Path("/k/image"), mib=700, console="null",
        initrd=Path("/i"), ports={"records": 5, "output": 6, "monitor": 7},
    )  # fmt: skip
    options = [word for word in argv[1:] if word.startswith("-")]
    pairs = [*itertools.pairwise(argv)]

    assert {*options} <= {
        "-M", "-device", "-cpu", "-accel", "-icount", "-smp", "-m", "-nodefaults",
        "-display", "-monitor", "-sandbox", "-no-reboot", "-chardev", "-serial", "-mon",
        "-kernel", "-initrd", "-append",
    }  # fmt: skip
    devices = [b.partition(",")[0] for a, b in pairs if a == "-device"]
    assert {*devices} <= {
        "virtio-serial-device", "virtio-serial-pci", "virtserialport",
    }  # fmt: skip
    chardevs = [b.partition(",")[0] for a, b in pairs if a == "-chardev"]
    assert chardevs == ["null", *["socket"] * 3]
    assert dict(pairs)["-sandbox"] == (
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    )
    assert "-nodefaults" in argv


CELL = (Store.REFCOUNTED, 1000, 0, "none")


def test_memory_is_that_of_the_largest_cell() -> None:
    small = memory_mib(job_of([CELL]))
    more_vmas = (Store.REFCOUNTED, 1_000_000, 0, "none")
    more_pages = (Store.REFCOUNTED, 1000, 1000, "none")

    assert memory_mib(job_of([more_vmas])) > small
    # What is written is held.
    assert memory_mib(job_of([more_pages])) - small >= 1000 * 1000 * 4096 >> 20
    assert memory_mib(job_of([CELL, more_pages, CELL])) == (
        memory_mib(job_of([more_pages]))
    )


FAKE = f"""#!{sys.executable} -IS
import os, re, sys, time
words = " ".join(sys.argv)
console, records = (
    re.search(what, words)[1]
    for what in ("file,path=(.*?),id=console", "id=records,fd=([0-9]+)")
)
def show(text):
    with open(console, "a") as file:
        file.write(text)
def say(port, text):
    fd = re.search(f"id={{port}},fd=([0-9]+)", words)[1]
    os.write(int(fd), text.encode())
def end(code):
    say("records", '{{"kind": "status", "code": %d}}\\n' % code)
"""


# What QEMU was told to boot is there only as long as it runs.
KEEP_INITRD = """
import shutil
folder = os.path.dirname(os.path.dirname(sys.argv[0]))
shutil.copyfile(sys.argv[sys.argv.index("-initrd") + 1], folder + "/initrd")
end(0)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has the root, and bin, the first folder of PATH."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "root.cpio").write_bytes(ROOT)
    for name in ("guest_root", "worker_root"):
        monkeypatch.setattr(qemu, name, lambda *_: tmp_path / "root.cpio")
    monkeypatch.setattr(channel, "_POLL_S", 0.01)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


def target_of(folder: Path, program: str) -> QemuTarget:
    """A target whose QEMU runs a few lines of Python instead."""
    path = folder / "bin" / "qemu-system-aarch64"
    path.write_text(FAKE + program)
    path.chmod(0o755)
    return QemuTarget(arch=ARM64, kernel=folder / "image")


def run_true(target: QemuTarget, console: Path) -> int:
    return target.run_command(["true"], lambda chunk: None, console)


@pytest.mark.parametrize(("code", "status"), [(0, 0), (7, 7), (-9, 128 + 9)])
def test_a_command_s_status_is_returned(
    folder: Path, console: Path, code: int, status: int
) -> None:
    assert run_true(target_of(folder, f"end({code})"), console) == status


def test_a_command_s_output_is_handed_on(folder: Path, console: Path) -> None:
    output = bytearray()
    target = target_of(folder, "say('output', 'words\\n'); end(0)")

    target.run_command(["true"], output.extend, console)

    assert output == b"words\n"


def test_a_job_s_records_are_handed_on(folder: Path, console: Path) -> None:
    records: list[Record] = []
    target = target_of(
        folder,
        'say(\'records\', \'{"kind":"end","run":"r","valid":true,'
        '"reason":"","seal":""}\\n\'); end(0)',
    )

    target.run_job(job_of([CELL]), records.append, console)

    assert records == [RunEnd(run="r", valid=True, reason="", seal="")]


@pytest.mark.parametrize(("code", "how"), [(4, "exit status 4"), (-11, "signal 11")])
def test_a_worker_that_fails_is_told_with_the_console_s_end(
    folder: Path, console: Path, code: int, how: str
) -> None:
    target = target_of(folder, f"show('why it failed'); end({code})")

    with pytest.raises(JobFailed, match=f"the worker ended with {how}\n") as raised:
        target.run_job(job_of([CELL]), lambda record: None, console)

    assert raised.value.console == "why it failed"


def test_files_of_a_command_come_with_its_job_and_can_be_run(
    folder: Path, console: Path
) -> None:
    target = target_of(folder, KEEP_INITRD)

    target.run_command(
        [target.path_in_guest("program")], lambda chunk: None, console,
        files={"program": b"\x7fELF"},
    )  # fmt: skip

    initrd = (folder / "initrd").read_bytes().removeprefix(ROOT)
    members = {member.path: member for member in read_cpio(initrd)}
    program = members["job/program"]
    assert program.content == b"\x7fELF"
    assert program.fields["mode"] == stat.S_IFREG | 0o755
    # As init copies the job there.
    assert marshal.loads(members["job/init.job"].content)["argv"] == [
        "/run/job/program"
    ]


def test_the_guest_gets_the_root_and_then_the_job(folder: Path, console: Path) -> None:
    job = job_of([CELL])
    target = target_of(folder, KEEP_INITRD)

    target.run_job(job, lambda record: None, console)

    initrd = (folder / "initrd").read_bytes()
    assert initrd.startswith(ROOT)
    inside = {m.path: m.content for m in read_cpio(initrd.removeprefix(ROOT))}
    assert parse_job(inside["job/job.json"]) == job
    told = marshal.loads(inside["job/init.job"])
    assert told["worker"] == "harness.worker.measure.worker"


def test_a_console_s_path_may_hold_a_comma(folder: Path) -> None:
    target = target_of(folder, f"open('{folder}/path', 'w').write(console); end(0)")

    run_true(target, folder / "a,b.txt")

    assert (folder / "path").read_text() == f"{folder}/a,,b.txt"


def test_a_console_of_before_is_forgotten(folder: Path, console: Path) -> None:
    console.write_text("Kernel panic - not syncing: of before\n")

    with pytest.raises(GuestLost):
        run_true(target_of(folder, "show('up')"), console)


def test_a_qemu_that_refuses_is_told_with_its_words(
    folder: Path, console: Path
) -> None:
    target = target_of(folder, "sys.exit('no such \\x1b[31mmachine')")

    with pytest.raises(
        EnvironmentFault, match=r"not start: no such \\x1b\[31mmachine$"
    ):
        run_true(target, console)


def test_a_qemu_that_there_is_not_is_named(
    folder: Path, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder / "bin"))

    with pytest.raises(EnvironmentFault, match="qemu-system-aarch64: No such file"):
        run_true(QemuTarget(arch=ARM64, kernel=folder / "image"), console)


def test_a_panic_is_told_though_qemu_ended_well(folder: Path, console: Path) -> None:
    target = target_of(folder, "show('Kernel panic - not syncing: why\\n')")

    with pytest.raises(GuestPanicked, match=r"the guest panicked: .*: why\n"):
        run_true(target, console)


def test_a_guest_that_goes_away_is_lost(folder: Path, console: Path) -> None:
    target = target_of(folder, "show('up'); sys.exit('killed')")

    with pytest.raises(GuestLost, match=r"without a status \(.*: killed\)\n"):
        run_true(target, console)


HANGS = "open(console + '.pid', 'w').write(str(os.getpid()))\n%s\ntime.sleep(1000)"


def is_gone(console: Path) -> bool:
    return not psutil.pid_exists(int(Path(f"{console}.pid").read_text()))


def test_a_guest_that_sends_no_record_is_told_and_ended(
    folder: Path, console: Path
) -> None:
    target = target_of(folder, HANGS % "say('records', 'oops\\n')")

    with pytest.raises(BadRecord, match=r"the guest sent a bad record: .*'oops'"):
        target.run_job(job_of([CELL]), lambda record: None, console)

    assert is_gone(console)


def test_a_guest_that_hangs_is_told_and_ended(folder: Path, console: Path) -> None:
    target = target_of(folder, HANGS % "show('up'); say('output', '.')")

    with pytest.raises(GuestHung, match="wrote nothing for") as raised:
        run_true(replace(target, deadlines=Deadlines(silence_s=0.05)), console)

    assert raised.value.console == "up"
    assert is_gone(console)


def test_a_guest_is_ended_when_whoever_takes_its_output_fails(
    folder: Path, console: Path
) -> None:
    target = target_of(folder, HANGS % "say('output', '.')")

    def fail(chunk: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        target.run_command(["true"], fail, console)

    assert is_gone(console)
