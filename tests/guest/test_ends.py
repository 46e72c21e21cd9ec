"""However a command ends, the machine is as it was before it.

Each is a process of its own, and marked: whatever it starts has the mark in its
environment, wherever it goes.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.host.paths import cache_dir
from harness.linux import read_sysctl
from harness.targets import QemuTarget, UmlTarget

pytestmark = pytest.mark.guest

DEADLINE_S = 120.0
SYSCTLS = (
    "vm.max_map_count",
    "kernel.randomize_va_space",
    "kernel.sched_rt_runtime_us",
)
SHORT_RUN = [
    "run", "--target", "uml", "--vmas", "200", "--naming", "distinct:20",
    "--boots", "1", "--blocks", "1", "--repetitions", "1",
]  # fmt: skip
# Each works for longer than any test waits, but for those that are told to end.
WORKING = {
    "run": [*SHORT_RUN, "--name", "long", "--blocks", "9999"],
    "agree": ["agree", "--ops", "99999999"],
    "boot": ["boot", "--target", "uml", "--", "sleep", "1000"],
    "boot qemu": ["boot", "--", "sleep", "1000"],
}
ENDING = {
    "run": (SHORT_RUN, 0),
    "run past its deadline": ([*WORKING["run"], "--deadline", "3"], 3),
    "agree": (["agree", "--ops", "400"], 0),
    "boot": (["boot", "--target", "uml", "--", "true"], 0),
    "boot that fails": (["boot", "--target", "uml", "--", "false"], 1),
    "boot past its deadline": ([*WORKING["boot"][:3], "--deadline", "2",
                                *WORKING["boot"][3:]], 3),
}  # fmt: skip


class Machine:
    """Folders of its own, the kernels that are built, and a mark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temp, cache = folder / "temp", folder / "cache/anon-vma-harness"
        self.temp.mkdir()
        cache.mkdir(parents=True)
        for room in ("kernels", "rootfs"):
            (cache / room).symlink_to(cache_dir() / room)
        self.cache = cache
        self.before = self.state()

    def start(self, argv: list[str]) -> "subprocess.Popen[str]":
        """A command as a process."""
        # Who runs the tests in the background has SIGINT ignored, and nohup SIGHUP;
        # what was ignored before it started, the command goes on ignoring.
        prelude = (
            "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
            "signal.signal(signal.SIGINT, signal.default_int_handler)"
        )
        return subprocess.Popen(
            [sys.executable, "-c", f"{prelude}\nimport sys, harness.__main__ as m\n"
             "sys.exit(m.main())", *argv],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={
                **os.environ, "TMPDIR": str(self.temp),
                "ANONVMA_MARK": str(self.folder),
                "XDG_CACHE_HOME": str(self.folder / "cache"),
            },
        )  # fmt: skip

    def processes(self) -> list[psutil.Process]:
        """Every process that has the mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("ANONVMA_MARK") == str(self.folder):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def state(self) -> dict[str, object]:
        """What is to be as before; campaigns are meant to stay."""
        return {
            "temp": sorted(self.temp.rglob("*")),
            "cache": sorted(self.cache.rglob("*")),
            "scratch": sorted(self.folder.glob("**/anonvma-*")),
            "sysctls": [read_sysctl(name) for name in SYSCTLS],
            "shared memory": list(Path("/dev/shm").glob("vm_file*")),
        }

    def await_guest(self, owner: "subprocess.Popen[str]") -> None:
        """Until a guest of the command's runs."""
        end = time.monotonic() + DEADLINE_S
        while owner.poll() is None and time.monotonic() < end:
            for process in self.processes():
                try:
                    if {"quiet", "qemu-system-aarch64"} & {*process.cmdline()}:
                        return
                except psutil.Error:
                    continue
            time.sleep(0.05)
        owner.kill()
        pytest.fail(f"no guest came up: {owner.communicate()}")


@pytest.fixture
def machine(uml_target: Callable[..., UmlTarget], tmp_path: Path) -> Machine:
    """With the kernel of User-Mode Linux built."""
    uml_target()
    return Machine(tmp_path)


@pytest.mark.parametrize("name", ENDING)
def test_a_command_that_ends_leaves_nothing(machine: Machine, name: str) -> None:
    argv, status = ENDING[name]
    with machine.start(argv) as process:
        _, words = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == status, words
    assert machine.processes() == []
    assert machine.state() == machine.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", WORKING)
def test_a_command_that_is_stopped_leaves_nothing(
    machine: Machine, boot_target: Callable[..., QemuTarget], name: str,
    number: signal.Signals,
) -> None:  # fmt: skip
    if "qemu" in name:
        boot_target()
    with machine.start(WORKING[name]) as process:
        machine.await_guest(process)
        process.send_signal(number)
        _, words = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 130, words
    said = [line for line in words.splitlines() if "anonvma: " in line]
    assert said == ["anonvma: stopped"]
    assert "Traceback" not in words
    assert machine.processes() == []
    assert machine.state() == machine.before


@pytest.mark.parametrize("name", WORKING)
def test_what_a_killed_command_leaves_is_mended(
    machine: Machine, boot_target: Callable[..., QemuTarget], name: str
) -> None:
    if "qemu" in name:
        boot_target()
    with machine.start(WORKING[name]) as process:
        machine.await_guest(process)
        process.kill()
        process.communicate()
    _, alive = psutil.wait_procs(machine.processes(), timeout=DEADLINE_S)
    assert alive == []
    left = list(machine.temp.iterdir())

    with machine.start(["doctor", "--mend"]) as mending:
        said, words = mending.communicate(timeout=DEADLINE_S)

    assert mending.returncode == 0, words
    assert left
    assert {f"removed {path}" for path in left} <= {*said.splitlines()}
    assert machine.state() == machine.before
