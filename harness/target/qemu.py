"""Guests under QEMU that count instructions: one job a boot.

``-icount shift=0,sleep=off`` makes one instruction one nanosecond of the
guest's clock and skips idle time, so what is measured is the same on a busy
host. It takes one processor, without KVM.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.arch import Arch
from harness.errors import JobFailed
from harness.measure import Job, Record, Status, render_job
from harness.programs import leashed, printable, tail_of
from harness.target.channel import (
    OUTPUT,
    RECORDS,
    Deadlines,
    Listener,
    RecordLines,
    ended_without_status,
    port,
)
from harness.target.rootfs import guest_root, harness_archive

ACCELERATOR = "tcg icount shift=0"
COMMAND_MIB = 1024

# Idle time is skipped under icount, so rest is free: what the exit of the child
# before set off (RCU, page lists) is over when the next fork begins.
SETTLE_MS = 2_000
# Since 6.7 the kernel fetches up to 2016 pages at a time for a CPU's page list
# (mm/page_alloc.c nr_pcp_alloc()): 118 000 instructions, in one fork and not in
# the next. With the lists at their least, each pays for the pages it takes.
SETTINGS = (("vm.percpu_pagelist_high_fraction", "1000000"),)

# An idle guest gathers no entropy; Python wants some before its first line.
_APPEND = "rdinit=/init panic=-1 quiet random.trust_bootloader=on random.trust_cpu=on"

# What the guest needs for itself: kernel, root in memory, Python.
_GUEST_MIB = 512
# A VMA of a process costs its struct, its lock, its name and its share of the
# tree, in the parent and in the child; then what maps and Python hold of it.
_VMA_BYTES = 2 * 512 + 1024
# A written page is held once, and has a page table entry in both processes.
_PAGE_BYTES = 4096 + 2 * 16


def memory_mib(job: Job) -> int:
    """Guest memory that every cell of a job fits in, in MiB."""
    most = max(
        layout.vmas * (_VMA_BYTES + layout.written_pages * _PAGE_BYTES)
        for layout in (planned.cell.layout for planned in job.cells)
    )
    return _GUEST_MIB + (most >> 20)


def qemu_argv(
    arch: Arch,
    *,
    kernel: Path,
    initrd: Path,
    mib: int,
    console: str,
    ports: dict[str, int],
) -> list[str]:
    """QEMU's command line.

    ``console`` is the chardev that the guest's console goes to, without its id;
    ``ports`` gives each port's socket as a file descriptor.
    """
    argv = [
        f"qemu-system-{arch.name}", *arch.qemu_options,
        "-accel", "tcg",
        "-icount", "shift=0,sleep=off",
        "-smp", "1",
        "-m", f"{mib}M",
        "-nodefaults", "-display", "none", "-monitor", "none",
        # With panic=-1 this makes a panic an exit, not a hang.
        "-no-reboot",
        "-chardev", f"{console},id=console",
        "-serial", "chardev:console",
    ]  # fmt: skip
    for name, fd in ports.items():
        argv += [
            "-chardev", f"socket,id={name},fd={fd}",
            "-device", f"virtserialport,chardev={name},name=harness.{name}",
        ]  # fmt: skip
    argv += [
        "-kernel", str(kernel),
        "-initrd", str(initrd),
        "-append", f"console={arch.console} {_APPEND}",
    ]  # fmt: skip
    return argv


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuTarget:
    """Boots a kernel for each job; its guests end with this process."""

    arch: Arch
    kernel: Path
    deadlines: Deadlines = field(default_factory=Deadlines)
    stop: threading.Event = field(default_factory=threading.Event)

    def run_job(
        self, job: Job, on_record: Callable[[Record], None], console: Path
    ) -> None:
        """Run a worker's job; every record goes to ``on_record`` as it comes.

        The guest's console is kept in ``console``. Raises GuestError's
        subclasses; JobFailed when the worker's status is not 0.
        """
        argv = ["/usr/bin/python3", "-m", "harness.measure.worker", "/job/job.json"]
        files = {**_init(argv, RECORDS), "job.json": render_job(job)}
        status = self._boot(files, memory_mib(job), on_record, None, console)
        if status.code:
            how = (
                f"signal {-status.code}"
                if status.code < 0
                else f"exit status {status.code}"
            )
            raise JobFailed(f"the worker ended with {how}", tail_of(console))

    def run_command(
        self,
        argv: Sequence[str],
        on_output: Callable[[bytes], None],
        console: Path,
        *,
        mib: int = COMMAND_MIB,
    ) -> int:
        """Run one command; its output goes to ``on_output``. Its exit status.

        128 + N when signal N ended it. Raises GuestError's subclasses.
        """
        files = _init(argv, OUTPUT)
        status = self._boot(files, mib, lambda _: None, on_output, console)
        return 128 - status.code if status.code < 0 else status.code

    def run_shell(self, console: Path, *, mib: int = COMMAND_MIB) -> int:
        """Give this terminal to a shell in the guest until it ends: its status.

        ``console`` gets a copy of what was shown.
        """
        files = _init(["/bin/sh"], "console")
        with _initrd(self.arch, files) as (fd, initrd), port() as (ours, theirs):
            argv = qemu_argv(
                self.arch, kernel=self.kernel, initrd=initrd, mib=mib,
                console=f"stdio,signal=off,logfile={_escaped(console)}",
                ports={RECORDS: theirs.fileno()},
            )  # fmt: skip
            # In the terminal's foreground, so not under the leash.
            subprocess.run(
                ["setpriv", "--pdeathsig", "KILL", "--", *argv],
                pass_fds=(fd, theirs.fileno()),
                check=False,
            )
            theirs.close()
            lines = RecordLines(lambda _: None, console)
            while chunk := ours.recv(1 << 16):
                lines.feed(chunk)
        if lines.status is None:
            raise ended_without_status(console)
        return lines.status.code

    def _boot(
        self,
        files: dict[str, bytes],
        mib: int,
        on_record: Callable[[Record], None],
        on_output: Callable[[bytes], None] | None,
        console: Path,
    ) -> Status:
        console.unlink(missing_ok=True)
        with contextlib.ExitStack() as stack:
            fd, initrd = stack.enter_context(_initrd(self.arch, files))
            names = (RECORDS,) if on_output is None else (RECORDS, OUTPUT)
            pairs = {name: stack.enter_context(port()) for name in names}
            ports = {name: theirs.fileno() for name, (_, theirs) in pairs.items()}
            argv = qemu_argv(
                self.arch, kernel=self.kernel, initrd=initrd, mib=mib,
                console=f"file,path={_escaped(console)}", ports=ports,
            )  # fmt: skip
            said = stack.enter_context(tempfile.TemporaryFile())
            stack.enter_context(
                leashed(argv, stderr=said.fileno(), pass_fds=(fd, *ports.values()))
            )
            for _, theirs in pairs.values():
                theirs.close()
            status = Listener(
                on_record=on_record,
                on_output=on_output or (lambda _: None),
                deadlines=self.deadlines,
                console=console,
                stop=self.stop,
            ).listen({name: ours for name, (ours, _) in pairs.items()})
            if status is None:
                said.seek(0)
                words = printable(said.read(2000).decode(errors="replace").strip())
                raise ended_without_status(console, runner_said=words)
            return status


def _init(argv: Sequence[str], stdout: str) -> dict[str, bytes]:
    return {"init.json": json.dumps({"argv": list(argv), "stdout": stdout}).encode()}


def _escaped(path: Path) -> str:
    # In an option of QEMU's a comma ends a value, and two are one.
    return str(path).replace(",", ",,")


@contextlib.contextmanager
def _initrd(arch: Arch, files: dict[str, bytes]) -> Iterator[tuple[int, Path]]:
    """A descriptor to pass on and its path; no name on disk that could stay."""
    with tempfile.TemporaryFile() as initrd:
        initrd.write(guest_root(arch).read_bytes())
        initrd.write(harness_archive(files))
        initrd.flush()
        fd = initrd.fileno()
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd, Path(f"/proc/self/fd/{fd}")
