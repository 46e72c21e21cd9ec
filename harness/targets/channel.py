"""Reads a guest's ports on the host, and finds out how the guest ended.

The end of a guest is a status record, a panic on the console (GuestPanicked), a
deadline without output (GuestHung), a line that is not a record (BadRecord), or none
of these (GuestLost). The exit status of the program that runs the guest does not
help: QEMU's is 0 after a panic too.
"""

import contextlib
import os
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.errors import (
    BadRecord,
    EnvironmentFault,
    GuestHung,
    GuestLost,
    GuestPanicked,
    HarnessError,
    RecordError,
    Stopped,
)
from harness.host.programs import tail_of
from harness.worker.measure import Record, Status, parse_record

RECORDS = "records"
OUTPUT = "output"
MONITOR = "monitor"

_PANIC = re.compile(r"Kernel panic - not syncing: .*|Internal error: .*")
_PANIC_LINES = 60
# A line longer than this is not a record.
_LONGEST_LINE = 1 << 20
# A thousand times what a kernel and a worker write. The console is a file on the host.
_LARGEST_CONSOLE = 64 << 20
# How often to check ``stop`` and the deadlines.
_POLL_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The seconds after which a guest counts as hung.

    ``boot_s`` without a first record or output, ``silence_s`` without a next one,
    ``total_s`` in total.
    """

    boot_s: float = 180
    silence_s: float = 600
    total_s: float = 3600


@contextlib.contextmanager
def port() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A pair of connected sockets: ours and the guest's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


class HasFileno(Protocol):
    """A socket, or the reading end of a pipe."""

    def fileno(self) -> int:
        """Its descriptor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Reads what a guest writes until it ends."""

    on_record: Callable[[Record], None]
    on_output: Callable[[bytes], None]
    deadlines: Deadlines
    console: Path
    stop: threading.Event

    def listen(self, ports: Mapping[str, HasFileno]) -> Status | None:
        """Read until every port is closed; return the status, or None if none came.

        Raises GuestHung, BadRecord, GuestLost for a console that grows too large, and
        Stopped when ``stop`` is set. After an error, the caller must end the guest.
        """
        started = last = time.monotonic()
        lines = RecordLines(self.on_record, self.console)
        with selectors.DefaultSelector() as ready:
            for name, ours in ports.items():
                ready.register(ours, selectors.EVENT_READ, name)
            while ready.get_map():
                self._check_deadlines(started, last)
                self._check_console()
                for key, _ in ready.select(_POLL_S):
                    chunk = os.read(key.fd, 1 << 16)
                    if not chunk:
                        ready.unregister(key.fileobj)
                        continue
                    last = time.monotonic()
                    if key.data == RECORDS:
                        lines.feed(chunk)
                    else:
                        self.on_output(chunk)
        return lines.status

    def _check_deadlines(self, started: float, last: float) -> None:
        if self.stop.is_set():
            raise Stopped("the guest was stopped before it finished")
        now = time.monotonic()
        limits = self.deadlines
        if last == started and now - started > limits.boot_s:
            what = f"the guest wrote nothing within {limits.boot_s:g} s of its start"
        elif last != started and now - last > limits.silence_s:
            what = f"the guest wrote nothing for {limits.silence_s:g} s"
        elif now - started > limits.total_s:
            what = f"the guest did not finish within {limits.total_s:g} s"
        else:
            return
        raise GuestHung(f"{what} and was killed", tail_of(self.console))

    def _check_console(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.console.stat().st_size > _LARGEST_CONSOLE:
                mib = _LARGEST_CONSOLE >> 20
                raise GuestLost(
                    f"the guest wrote more than {mib} MiB to its console and was "
                    "killed",
                    tail_of(self.console),
                )


class RecordLines:
    """Parses a stream of bytes into records, and keeps the status record."""

    def __init__(self, on_record: Callable[[Record], None], console: Path) -> None:
        self.status: Status | None = None
        self._on_record = on_record
        self._console = console
        self._pending = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises BadRecord for a line that is not a record."""
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
            if isinstance(record, Status):
                self.status = record
            else:
                self._on_record(record)


def ended_without_status(console: Path, *, runner_output: str = "") -> HarnessError:
    """The error for a guest that ended without a status.

    ``runner_output`` is what the program that ran the guest wrote.
    """
    shown = tail_of(console, lines=_PANIC_LINES)
    if match := _PANIC.search(shown):
        return GuestPanicked(f"the guest panicked: {match[0]}", shown)
    if not shown and runner_output:
        return EnvironmentFault(f"the guest did not start: {runner_output}")
    output = f" (its runner wrote: {runner_output})" if runner_output else ""
    return GuestLost(f"the guest ended without a status{output}", tail_of(console))
