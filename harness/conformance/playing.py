"""Plays traces on a target, and checks each step as soon as the target reports it."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from harness.divergence import Divergence, Kernel, Recording, TraceChecker, parse_seen
from harness.divergence.recording import Seen
from harness.errors import (
    GuestError,
    GuestLost,
    GuestPanicked,
    RecordError,
    UnsupportedError,
)
from harness.host.programs import printable, tail_of
from harness.targets import HostTarget
from harness.targets.subjects import HOST, TargetChoice, chosen_target
from harness.worker.executor import ExecutorJob, render_executor_job
from harness.worker.measure.conditions import SILICON_HOST
from harness.workload.ops import Step

# A line describes what some steps changed in maps of at most 65 530 lines.
_LONGEST_LINE = 1 << 26
# How many bytes of a Python traceback are shown.
_SHOWN = 4000


class TraceTarget(Protocol):
    """A kernel that traces can be played on."""

    def run_executor(
        self, job: bytes, on_output: Callable[[bytes], None], console: Path
    ) -> int:
        """Run the executor on a job and return its exit status.

        ``on_output`` gets its output as soon as it is written.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A divergence, and the recording of its trace."""

    divergence: Divergence
    recording: Recording
    kernel: Kernel

    @property
    def release(self) -> str:
        """The release of the kernel on which it was found."""
        return printable(str(self.recording.kernel.get("release", "?")))


class EnoughSeen(Exception):
    """Raised by a callback to stop the guest, when the rest is not needed."""


@dataclass
class Playing:
    """Plays traces in one guest and checks the output; ``on_found`` gets divergences.

    After each trace, ``on_trace`` gets how many steps were checked and how many of
    these by content only, and ``keep`` gets the recording. The executor reads maps
    after each step or, with ``at_end``, only at the end of each trace. ``expected``
    has the expected behaviour at the points where kernels differ.
    """

    pages: int
    traces: Sequence[Sequence[Step]]
    on_found: Callable[[Found], None]
    on_trace: Callable[[int, int], None] = lambda checked, by_content: None
    keep: Callable[[Recording], None] | None = None
    at_end: bool = False
    expected: Mapping[str, bool] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)
    done: bool = False
    _pending: bytes = b""
    _at: int = 0
    _checker: TraceChecker | None = None
    _seen: list[Seen] = field(default_factory=list)
    _over: bool = False
    _failed: bool = False

    @property
    def at(self) -> int:
        """The index of the trace that is being played."""
        return self._at

    def run(self, target: TraceTarget, console: Path) -> None:
        """Play all traces. A guest that dies is a divergence of the current trace.

        Raises GuestError's other subclasses, UnsupportedError for a kernel without
        names, RecordError for a line that no executor writes.
        """
        job = ExecutorJob(
            pages=self.pages, traces=tuple(map(tuple, self.traces)), at_end=self.at_end
        )
        try:
            status = target.run_executor(render_executor_job(job), self._feed, console)
        except (GuestPanicked, GuestLost) as error:
            if not self.described:
                raise
            self._died(error.what)
            return
        if not self.done:
            output = "\n".join(
                printable(line.decode(errors="replace"))
                for line in self._pending[:_SHOWN].splitlines()
            )
            # An executor on this machine writes its errors to the console file.
            output = output or tail_of(console)
            raise GuestError(f"the executor ended early, with status {status}", output)

    def _feed(self, chunk: bytes) -> None:
        if self._failed:
            self._pending = (self._pending + chunk)[:_SHOWN]
            return
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        if len(self._pending) > _LONGEST_LINE:
            raise RecordError(
                self._pending,
                f"a line of the executor has at most {_LONGEST_LINE} bytes",
            )
        for at, line in enumerate(lines):
            try:
                data = json.loads(line)
                if not isinstance(data, dict):
                    raise ValueError("not an object")
            except (ValueError, RecursionError):
                # The traceback of a Python that failed. Keep it to show it.
                self._pending = b"\n".join([*lines[at:], self._pending])[:_SHOWN]
                self._failed = True
                return
            self._take(data, line)

    def _take(self, data: dict[str, Any], line: bytes) -> None:
        if "kernel" in data and not self.described:
            if not isinstance(data["kernel"], dict):
                raise RecordError(line, "the description of a kernel must be an object")
            self.described = data["kernel"]
            if self.described.get("support") != "supported":
                reason = printable(str(self.described.get("reason")))
                raise UnsupportedError(
                    f"names cannot be compared on this kernel: {reason}"
                )
            divergence = TraceChecker(self.traces[0], self._kernel).differs_from(
                self.expected
            )
            if divergence is not None:
                self._found(divergence)
        elif "seen" in data:
            self._take_seen(data, line)
        elif "died" in data:
            self._select(data.get("trace"), line)
            self._died(f"a process of the trace ended with status {data['died']!r:.20}")
        elif "done" in data:
            self._end_trace()
            self.done = True
        else:
            raise RecordError(line, "not a line that the executor writes")

    def _take_seen(self, data: dict[str, Any], line: bytes) -> None:
        self._select(data.get("trace"), line)
        if not isinstance(data["seen"], list):
            raise RecordError(line, "seen must be a list")
        for each in data["seen"]:
            if self._over:
                return
            seen = parse_seen(each)
            self._seen.append(seen)
            assert self._checker is not None
            divergence = self._checker.check(seen)
            if divergence is not None:
                self._found(divergence)

    def _select(self, index: Any, line: bytes) -> None:
        if type(index) is not int or not 0 <= index < len(self.traces):
            raise RecordError(line, "the job has no trace with this number")
        if self._checker is None or index != self._at:
            self._end_trace()
            self._at, self._seen, self._over = index, [], False
            self._checker = TraceChecker(self.traces[index], self._kernel)

    def _end_trace(self) -> None:
        if self._checker is None:
            return
        if not self._over and self._checker.checked < len(self.traces[self._at]):
            self._died("the executor did not finish the trace")
        self.on_trace(self._checker.checked, self._checker.by_content)
        if self.keep is not None:
            self.keep(self._recording())

    @property
    def _kernel(self) -> Kernel:
        return Kernel.of(self.described)

    def _recording(self, note: str = "") -> Recording:
        return Recording(
            pages=self.pages,
            steps=tuple(self.traces[self._at]),
            kernel=self.described,
            seen=tuple(self._seen),
            note=note,
        )

    def _died(self, words: str) -> None:
        if self._checker is None:
            self._checker = TraceChecker(self.traces[self._at], self._kernel)
        if not self._over:
            self._found(self._checker.died(words))

    def _found(self, divergence: Divergence) -> None:
        self._over = True
        recording = self._recording(divergence.headline)
        self.on_found(
            Found(divergence=divergence, recording=recording, kernel=self._kernel)
        )


def diverging(
    target: TraceTarget, pages: int, traces: Iterable[Sequence[Step]], console: Path
) -> dict[int, Found]:
    """Play traces in one guest; return the divergences by the index of the trace."""
    chosen = list(traces)
    found: dict[int, Found] = {}
    playing = Playing(pages, chosen, lambda f: None)
    playing.on_found = lambda f: found.update({playing.at: f})
    playing.run(target, console)
    return found


Targets = Callable[[threading.Event], TraceTarget]


def targets_of(
    choice: TargetChoice,
    variant: str,
    base: str,
    *,
    on_step: Callable[[str], None],
) -> Targets:
    """Build what a choice of target needs; return a function that makes targets.

    The event given to the function stops the target.
    """
    if choice.kind == HOST:
        return lambda stop: HostTarget(
            conditions=SILICON_HOST, deadlines=choice.deadlines, stop=stop
        )
    target = chosen_target(choice, variant, base, on_step=on_step)
    return lambda stop: replace(target, stop=stop)
