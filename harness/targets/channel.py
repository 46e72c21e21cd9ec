"""The host's end of a guest's ports: records as they come, and how a guest ended.

How it ended is told apart by what came before the end: a status, a panic on
the console (GuestPanicked), silence until a deadline (GuestHung), a line that
is no record (BadRecord), or none of these (GuestLost). The exit status of what
ran the guest says nothing: QEMU's is 0 after a panic too.
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
# A line longer than this is no record.
_LONGEST_LINE = 1 << 20
# What a kernel and a worker say fits a thousand times; the console is a file here.
_LARGEST_CONSOLE = 64 << 20
# How often a wish to stop is looked for.
_POLL_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds until a guest that does not speak is taken for hung.

    ``boot_s`` until its first record or output, ``silence_s`` between two of
    them, ``total_s`` for all of it.
    """

    boot_s: float = 180
    silence_s: float = 600
    total_s: float = 3600


@contextlib.contextmanager
def port() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A pair of connected sockets, ours and the guest's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


class HasFileno(Protocol):
    """A socket, or the reading end of a pipe."""

    def fileno(self) -> int:
        """Its descriptor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Takes what a guest says until it is gone."""

    on_record: Callable[[Record], None]
    on_output: Callable[[bytes], None]
    deadlines: Deadlines
    console: Path
    stop: threading.Event

    def listen(self, ports: Mapping[str, HasFileno]) -> Status | None:
        """Until every port is closed: the status, None if none came.

        Raises GuestHung, BadRecord, GuestLost for a console without end, and
        Stopped when ``stop`` is set; whoever started the guest then ends it.
        """
        started = heard = time.monotonic()
        lines = RecordLines(self.on_record, self.console)
        with selectors.DefaultSelector() as ready:
            for name, ours in ports.items():
                ready.register(ours, selectors.EVENT_READ, name)
            while ready.get_map():
                self._check_deadlines(started, heard)
                self._check_console()
                for key, _ in ready.select(_POLL_S):
                    chunk = os.read(key.fd, 1 << 16)
                    if not chunk:
                        ready.unregister(key.fileobj)
                        continue
                    heard = time.monotonic()
                    if key.data == RECORDS:
                        lines.feed(chunk)
                    else:
                        self.on_output(chunk)
        return lines.status

    def _check_deadlines(self, started: float, heard: float) -> None:
        if self.stop.is_set():
            raise Stopped("the guest was stopped before it was done")
        now = time.monotonic()
        limits = self.deadlines
        if heard == started and now - started > limits.boot_s:
            what = f"the guest said nothing within {limits.boot_s:g} s of its start"
        elif heard != started and now - heard > limits.silence_s:
            what = f"the guest fell silent for {limits.silence_s:g} s"
        elif now - started > limits.total_s:
            what = f"the guest was not done within {limits.total_s:g} s"
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
    """Cuts a stream into lines and lines into records; keeps the status."""

    def __init__(self, on_record: Callable[[Record], None], console: Path) -> None:
        self.status: Status | None = None
        self._on_record = on_record
        self._console = console
        self._pending = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; BadRecord for a line that is no record."""
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


def ended_without_status(console: Path, *, runner_said: str = "") -> HarnessError:
    """The error for a guest that is gone and left no status."""
    shown = tail_of(console, lines=_PANIC_LINES)
    if match := _PANIC.search(shown):
        return GuestPanicked(f"the guest panicked: {match[0]}", shown)
    if not shown and runner_said:
        return EnvironmentFault(f"the guest was not started: {runner_said}")
    said = f" (what ran it said: {runner_said})" if runner_said else ""
    return GuestLost(f"the guest went away without a status{said}", tail_of(console))
