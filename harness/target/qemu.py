"""Guests under QEMU: one job a boot, records by virtio-serial, a deadline on all.

How a guest ended is told apart by what came before its end: a status (done, or
JobFailed), a panic on the console (GuestPanicked), silence until the deadline
(GuestHung), or none of these (GuestLost). QEMU's own exit status says nothing:
it is 0 after a panic too.
"""

import contextlib
import json
import os
import re
import selectors
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.arch import Arch
from harness.errors import (
    BadRecord,
    EnvironmentFault,
    GuestHung,
    GuestLost,
    GuestPanicked,
    HarnessError,
    JobFailed,
    RecordError,
)
from harness.measure import Job, Record, Status, parse_record, render_job
from harness.measure.job import parse_job
from harness.programs import leashed, tail_of
from harness.target.rootfs import guest_root, harness_archive

ACCELERATOR = "tcg icount shift=0"

# What the guest needs for itself: kernel, root in memory, Python.
_GUEST_MIB = 512
# A VMA of a process costs its struct, its lock, its name and its share of the
# tree; parent and child both have it. Then what maps and Python hold of it.
_VMA_BYTES = 2 * 512 + 1024
_PANIC = re.compile(r"Kernel panic - not syncing: .*|Internal error: .*|Oops.*")
# A line longer than this is no record.
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds until a guest that does not speak is taken for hung.

    ``boot_s`` until its first record or its end, ``silence_s`` between two
    records, ``total_s`` for all of it.
    """

    boot_s: float = 180
    silence_s: float = 600
    total_s: float = 3600


def memory_mib(job: Job) -> int:
    """Guest memory that every cell of a job fits in, in MiB."""
    most = 0
    for planned in job.cells:
        layout = planned.cell.layout
        pages = layout.vmas * layout.written_pages
        # Page tables of parent and child: 8 bytes a page each, doubled for luck.
        most = max(most, pages * (4096 + 32) + layout.vmas * _VMA_BYTES)
    return _GUEST_MIB + (most >> 20)


def qemu_argv(
    arch: Arch,
    *,
    kernel: Path,
    initrd: Path,
    memory_mib: int,
    console: Sequence[str],
    ports: dict[str, int],
    append: Sequence[str] = (),
) -> list[str]:
    """QEMU's command line; ``ports`` gives each port's socket as a descriptor."""
    words = [
        f"console={arch.console}", "rdinit=/init", "panic=-1", "quiet", *append,
    ]  # fmt: skip
    argv = [
        f"qemu-system-{arch.name}", *arch.qemu_options,
        "-accel", "tcg",
        # One instruction is one nanosecond of the guest's clock; idle time is
        # skipped, not waited for.
        "-icount", "shift=0,sleep=off",
        "-smp", "1",
        "-m", f"{memory_mib}M",
        "-nodefaults", "-display", "none", "-monitor", "none",
        # With panic=-1 this makes a panic an exit, not a hang.
        "-no-reboot",
        *console,
    ]  # fmt: skip
    for name, fd in ports.items():
        argv += [
            "-chardev", f"socket,id={name},fd={fd}",
            "-device", f"virtserialport,chardev={name},name=harness.{name}",
        ]  # fmt: skip
    argv += [
        "-kernel", str(kernel), "-initrd", str(initrd), "-append", " ".join(words),
    ]  # fmt: skip
    return argv


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuTarget:
    """Boots a kernel for each job; its guests end with this process."""

    arch: Arch
    kernel: Path
    deadlines: Deadlines = Deadlines()
    stop: threading.Event | None = None

    def run_job(
        self, job: Job, on_record: Callable[[Record], None], console: Path
    ) -> None:
        """Run a worker's job; every record goes to ``on_record`` as it comes.

        The guest's console is kept in ``console``. Raises GuestError's
        subclasses; JobFailed when the worker's status is not 0.
        """
        init = {
            "argv": [
                "/usr/bin/python3", "-m", "harness.measure.worker",
                "/job/job.json", "{records}",
            ],
            "stdout": "records",
        }  # fmt: skip
        files = {"init.json": json.dumps(init).encode(), "job.json": render_job(job)}
        assert parse_job(files["job.json"]) == job
        status = self._boot(files, memory_mib(job), on_record, None, console)
        if status.code:
            raise JobFailed(
                f"the worker ended with {_ending(status)}", tail_of(console)
            )

    def run_command(
        self,
        argv: Sequence[str],
        on_output: Callable[[bytes], None],
        console: Path,
        *,
        mib: int = 1024,
    ) -> int:
        """Run one command; its output goes to ``on_output``. Its exit status."""
        init = {"argv": list(argv), "stdout": "output"}
        files = {"init.json": json.dumps(init).encode()}
        status = self._boot(files, mib, lambda _: None, on_output, console)
        return 128 - status.code if status.code < 0 else status.code

    def run_shell(self, console: Path, *, mib: int = 1024) -> int:
        """Give the terminal to a shell in the guest until it ends: its exit status.

        ``console`` gets a copy of what was shown.
        """
        init = {"argv": ["/bin/busybox", "sh"], "stdout": "console"}
        files = {"init.json": json.dumps(init).encode()}
        options = [
            "-chardev", f"stdio,id=console,signal=off,logfile={console}",
            "-serial", "chardev:console",
        ]  # fmt: skip
        with _prepared(self.arch, files) as initrd, _port() as (ours, theirs):
            argv = qemu_argv(
                self.arch, kernel=self.kernel, initrd=initrd, memory_mib=mib,
                console=options, ports={"records": theirs.fileno()},
            )  # fmt: skip
            # In the terminal's foreground, so not under the leash.
            subprocess.run(
                ["setpriv", "--pdeathsig", "KILL", "--", *argv],
                pass_fds=(theirs.fileno(),),
                check=False,
            )
            theirs.close()
            statuses: list[Record] = []
            _Lines(statuses.append, console).feed(_drained(ours))
        if not statuses or not isinstance(statuses[-1], Status):
            raise _ended_without_status(console)
        return statuses[-1].code

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
            initrd = stack.enter_context(_prepared(self.arch, files))
            names = ("records",) if on_output is None else ("records", "output")
            pairs = {name: stack.enter_context(_port()) for name in names}
            ports = {name: theirs.fileno() for name, (_, theirs) in pairs.items()}
            argv = qemu_argv(
                self.arch, kernel=self.kernel, initrd=initrd, memory_mib=mib,
                console=["-chardev", f"file,id=console,path={console}",
                         "-serial", "chardev:console"],
                ports=ports,
            )  # fmt: skip
            errors = stack.enter_context(tempfile.TemporaryFile())
            stack.enter_context(
                leashed(argv, stderr=errors.fileno(), pass_fds=tuple(ports.values()))
            )
            for _, theirs in pairs.values():
                theirs.close()
            status = self._listen(
                {name: ours for name, (ours, _) in pairs.items()},
                on_record, on_output, console,
            )  # fmt: skip
            if status is None:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()
                raise _ended_without_status(console, qemu_said=said)
            return status

    def _listen(
        self,
        sockets: dict[str, socket.socket],
        on_record: Callable[[Record], None],
        on_output: Callable[[bytes], None] | None,
        console: Path,
    ) -> Status | None:
        """Until all ports are closed: the status, None if none came."""
        started = time.monotonic()
        heard = started
        status: Status | None = None

        def keep(record: Record) -> None:
            nonlocal status
            if isinstance(record, Status):
                status = record
            else:
                on_record(record)

        lines = _Lines(keep, console)
        with selectors.DefaultSelector() as ready:
            for name, ours in sockets.items():
                ready.register(ours, selectors.EVENT_READ, name)
            while ready.get_map():
                self._check_deadlines(started, heard, console)
                for key, _ in ready.select(0.5):
                    chunk = os.read(key.fd, 1 << 16)
                    if not chunk:
                        ready.unregister(key.fileobj)
                        continue
                    heard = time.monotonic()
                    if key.data == "records":
                        lines.feed(chunk)
                    elif on_output is not None:
                        on_output(chunk)
        return status

    def _check_deadlines(self, started: float, heard: float, console: Path) -> None:
        if self.stop is not None and self.stop.is_set():
            raise HarnessError("stopped")
        now = time.monotonic()
        limits = self.deadlines
        if heard == started and now - started > limits.boot_s:
            what = f"the guest said nothing within {limits.boot_s:g} s of its start"
        elif now - heard > limits.silence_s:
            what = f"the guest fell silent for {limits.silence_s:g} s"
        elif now - started > limits.total_s:
            what = f"the guest was not done within {limits.total_s:g} s"
        else:
            return
        raise GuestHung(f"{what} and was killed", tail_of(console))


class _Lines:
    """Cuts a stream into lines and lines into records."""

    def __init__(self, on_record: Callable[[Record], None], console: Path) -> None:
        self._on_record = on_record
        self._console = console
        self._pending = b""

    def feed(self, chunk: bytes) -> None:
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        if len(self._pending) > _LONGEST_LINE:
            lines.append(self._pending)
        for line in lines:
            try:
                record = parse_record(line)
            except RecordError as error:
                raise BadRecord(
                    f"the guest sent a bad record: {error}", tail_of(self._console)
                ) from None
            self._on_record(record)


@contextlib.contextmanager
def _prepared(arch: Arch, files: dict[str, bytes]) -> Iterator[Path]:
    root = guest_root(arch)
    with tempfile.NamedTemporaryFile(prefix="anonvma-", suffix=".cpio") as initrd:
        with open(root, "rb") as file:
            while chunk := file.read(1 << 20):
                initrd.write(chunk)
        initrd.write(harness_archive(files))
        initrd.flush()
        yield Path(initrd.name)


@contextlib.contextmanager
def _port() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def _drained(ours: socket.socket) -> bytes:
    chunks = []
    while chunk := ours.recv(1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


def _ending(status: Status) -> str:
    if status.code < 0:
        return f"signal {-status.code}"
    return f"exit status {status.code}"


def _ended_without_status(console: Path, *, qemu_said: str = "") -> HarnessError:
    shown = tail_of(console, lines=40)
    if match := _PANIC.search(shown):
        return GuestPanicked(f"the guest panicked: {match[0]}", shown)
    if not shown and qemu_said:
        return EnvironmentFault(f"QEMU did not start the guest: {qemu_said}")
    return GuestLost(
        "the guest went away without a status"
        + (f" (QEMU said: {qemu_said})" if qemu_said else ""),
        shown,
    )
