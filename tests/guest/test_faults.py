"""Guests that end badly: each way is an error of its own, within its deadline."""

import re
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.errors import GuestHung, GuestLost, GuestPanicked, JobFailed
from harness.targets import Deadlines, QemuTarget, channel, guest, qemu
from harness.targets.cpio import file_entry, folder_entry, render_cpio
from harness.worker.measure import Record, Run
from harness.workload import Store
from tests.jobs import job_of

pytestmark = pytest.mark.guest

Boot = Callable[..., QemuTarget]


def run_shell_line(target: QemuTarget, line: str, console: Path) -> int:
    return target.run_command(["sh", "-c", line], lambda chunk: None, console)


def guests_of(console: Path) -> list[int]:
    """Every process that has the console's path in its arguments."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(console) in word for word in process.info["cmdline"] or []):
            found.append(process.pid)
    return found


@pytest.mark.first
def test_a_panic_is_told_with_the_kernel_s_own_words(
    boot_target: Boot, console: Path
) -> None:
    with pytest.raises(GuestPanicked, match="sysrq triggered crash") as raised:
        run_shell_line(boot_target(), "echo c > /proc/sysrq-trigger", console)

    assert "Kernel panic" in raised.value.console
    assert guests_of(console) == []


def test_an_init_that_dies_is_a_panic(
    boot_target: Boot, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init = file_entry("job/init", b"#!/bin/sh\nexit 5\n", mode=0o755)
    monkeypatch.setattr(
        qemu, "job_archive", lambda files: render_cpio([folder_entry("job"), init])
    )

    with pytest.raises(GuestPanicked, match="Attempted to kill init"):
        run_shell_line(boot_target(), "true", console)


# The console is not opened at once: an ARM64 guest that counts instructions stands
# still for ever where that meets its first output, to the instruction.
@pytest.mark.parametrize(
    "line",
    ["while :; do :; done", "sleep 0.1; cat /dev/ttyAMA0"],
    ids=["busy", "idle"],
)
def test_a_guest_that_is_silent_past_its_deadline_is_hung(
    boot_target: Boot, console: Path, line: str
) -> None:
    target = boot_target(deadlines=Deadlines(boot_s=60, silence_s=3))

    with pytest.raises(GuestHung, match="wrote nothing for 3 s and was killed"):
        run_shell_line(target, f"echo begun; {line}", console)

    assert guests_of(console) == []


def test_a_guest_that_fills_its_console_is_ended(
    boot_target: Boot, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "_LARGEST_CONSOLE", 1 << 18)

    with pytest.raises(GuestLost, match="to its console and was killed"):
        run_shell_line(boot_target(), "sleep 0.1; yes > /dev/console", console)

    assert guests_of(console) == []


def test_a_guest_that_never_speaks_is_hung(boot_target: Boot, console: Path) -> None:
    target = boot_target(deadlines=Deadlines(boot_s=0.5))

    with pytest.raises(GuestHung, match=re.escape("nothing within 0.5 s")):
        run_shell_line(target, "true", console)

    assert guests_of(console) == []


def test_a_guest_that_goes_away_without_a_status_is_lost(
    boot_target: Boot, console: Path
) -> None:
    with pytest.raises(GuestLost, match="without a status"):
        run_shell_line(boot_target(), "echo b > /proc/sysrq-trigger", console)


def test_a_worker_whose_process_dies_is_a_failed_job(
    boot_target: Boot, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel kills it for want of memory; the records so far have come."""
    monkeypatch.setattr(guest, "memory_mib", lambda job: 256)
    records: list[Record] = []
    job = job_of([(Store.REFCOUNTED, 100, 0, "none"), (Store.STRDUP, 65536, 1, "none")])

    with pytest.raises(JobFailed, match="256 MiB of memory were not enough") as raised:
        boot_target().run_job(job, records.append, console)

    assert (
        "ended by signal 9: it was killed, or the machine was out of memory"
        in raised.value.console
    )
    assert [r.vmas for r in records if isinstance(r, Run)] == [100]


def test_a_kernel_that_is_not_what_the_job_says_is_refused(
    boot_target: Boot, console: Path
) -> None:
    records: list[Record] = []
    job = job_of([(Store.REFCOUNTED, 10, 0, "distinct:5")], stores=(Store.REFCOUNTED,))

    with pytest.raises(JobFailed, match="exit status 4") as raised:
        boot_target("none").run_job(job, records.append, console)

    assert "not built in" in raised.value.console
    assert records == []
