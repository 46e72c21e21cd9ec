"""Parses what the observer in a guest writes. Its lines are checked, not trusted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.audit.expected_counts import SlabCounts
from harness.divergence import Kernel, parse_seen
from harness.divergence.recording import Seen
from harness.errors import RecordError, UnsupportedError
from harness.host.programs import printable
from harness.worker.measure import Run, parse_record

_LONGEST = 1 << 24


@dataclass
class GuestReport:
    """Collects the lines of ``harness.worker.observer.observer``.

    ``described`` is the executor's description of the kernel. ``runs`` has the run
    records of the cells. ``counted`` has the kernel's counters in order: the index
    of a cell, or a name such as ``cycles``, the step, the counters after it.
    """

    described: dict[str, Any] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    counted: list[tuple[int | str, str, SlabCounts]] = field(default_factory=list)
    _seen: dict[int, list[Seen]] = field(default_factory=dict)
    _stopped: dict[str, Any] = field(default_factory=dict)
    _pending: bytes = b""

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes; return whether all processes are stopped now.

        Raises RecordError for a line that no observer writes, UnsupportedError for
        a kernel without names.
        """
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        if len(self._pending) > _LONGEST:
            raise RecordError(
                self._pending,
                f"a line of the observer has at most {_LONGEST} bytes and a newline",
            )
        for line in lines:
            try:
                data = json.loads(line)
            except (ValueError, RecursionError):
                # The traceback of a Python that failed. The exit status of the
                # command reports the failure.
                continue
            if isinstance(data, dict):
                self._take(data, line)
        return bool(self._stopped)

    def _take(self, data: dict[str, Any], line: bytes) -> None:
        try:
            if "census" in data:
                what, step = data["census"]
                self.counted.append((_index_or_name(what), str(step), _counts(data)))
            elif "seen" in data:
                seen = [parse_seen(each) for each in data["seen"]]
                if type(data["trace"]) is not int:
                    raise ValueError("the number of a trace must be an integer")
                self._seen.setdefault(data["trace"], []).extend(seen)
            elif "kernel" in data:
                self.described = dict(data["kernel"])
                if self.described.get("support") != "supported":
                    reason = printable(str(self.described.get("reason")))
                    raise UnsupportedError(
                        f"names cannot be compared on this kernel: {reason}"
                    )
            elif "held" in data:
                self._stopped = _checked_stopped(data["held"])
            else:
                record = parse_record(line)
                if not isinstance(record, Run):
                    raise ValueError("not a run record")
                self.runs.append(record)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordError(line, f"not a line of the observer: {error!r}") from None

    @property
    def kernel(self) -> Kernel:
        """What checking a trace needs to know about the kernel. Raises RecordError."""
        return Kernel.of(self.described)

    @property
    def vmcoreinfo(self) -> bytes:
        """The kernel's vmcoreinfo, which a reader of its memory needs."""
        return str(self._stopped["vmcoreinfo"]).encode("ascii")

    def cell(self, index: int) -> list[tuple[str, SlabCounts]]:
        """The counters before a cell and after each of its steps."""
        return [(step, counts) for what, step, counts in self.counted if what == index]

    def after(self, what: str) -> SlabCounts:
        """The last counters with that name. Raises RecordError if there are none."""
        for name, _, counts in reversed(self.counted):
            if name == what:
                return counts
        raise RecordError("", f"the observer did not report the counters of {what!r}")

    def seen(self, trace: int) -> Sequence[Seen]:
        """What the executor saw after each step of a trace."""
        return self._seen.get(trace, [])

    def stopped_cell(self, index: int) -> tuple[list[int], int]:
        """The pids of a cell's process and children, and the start of its arena.

        Raises RecordError if the observer did not report the cell.
        """
        try:
            cell = self._stopped["cells"][index]
        except IndexError:
            raise RecordError("", f"the observer did not report cell {index}") from None
        return cell["pids"], cell["start"]

    def stopped_trace(self, index: int) -> tuple[list[int], int]:
        """The pids of a trace's processes, and the start of its arena.

        The pid of process N is at index N; 0 means that there is no process N.
        Raises RecordError if the observer did not report the trace.
        """
        try:
            return self._stopped["traces"][index], self._stopped["start"]
        except IndexError:
            raise RecordError(
                "", f"the observer did not report trace {index}"
            ) from None


def _index_or_name(what: object) -> int | str:
    if type(what) is int or type(what) is str:
        return what
    raise ValueError("counters belong to the index of a cell or to a name")


def _counts(data: dict[str, Any]) -> SlabCounts:
    return SlabCounts(
        objects={
            int(name.rpartition("-")[2]): _checked_count(count)
            for name, count in sorted(data["objects"].items())
        },
        calls={
            str(name): _checked_count(count) for name, count in data["calls"].items()
        },
    )


def _checked_count(count: object) -> int:
    if type(count) is not int or not 0 <= count < 1 << 63:
        raise ValueError("a count must be an integer from 0 to 2**63 - 1")
    return count


def _checked_stopped(data: dict[str, Any]) -> dict[str, Any]:
    for cell in _list(data["cells"]):
        _check_numbers([cell["start"], *_list(cell["pids"])])
    for pids in _list(data["traces"]):
        _check_numbers(_list(pids))
    _check_numbers([data["start"]])
    if type(data["vmcoreinfo"]) is not str or not data["vmcoreinfo"].isascii():
        raise ValueError("vmcoreinfo must be ASCII text")
    return data


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("cells, traces and pids must be lists")
    return value


def _check_numbers(values: Sequence[object]) -> None:
    if not all(type(value) is int and value >= 0 for value in values):
        raise ValueError("pids and addresses must be integers of at least 0")
