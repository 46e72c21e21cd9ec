"""What the observer reported from a guest: its lines, not trusted until parsed."""

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
    """Takes the lines of ``harness.worker.observer.observer`` as they come.

    ``described`` is the kernel as the player describes it, ``runs`` the records of
    the cells; ``counted`` are the censuses in order: (cell, "cycles" or the like),
    step, census.
    """

    described: dict[str, Any] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    counted: list[tuple[int | str, str, SlabCounts]] = field(default_factory=list)
    _seen: dict[int, list[Seen]] = field(default_factory=dict)
    _held: dict[str, Any] = field(default_factory=dict)
    _pending: bytes = b""

    def hear(self, chunk: bytes) -> bool:
        """Take the next bytes: whether all is held now.

        Raises RecordError for what no observer writes, UnsupportedError for a kernel
        without names.
        """
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        if len(self._pending) > _LONGEST:
            raise RecordError(
                self._pending, "a line of the observer ends with a newline"
            )
        for line in lines:
            try:
                data = json.loads(line)
            except (ValueError, RecursionError):
                # What Python says when it fails; the command's end is the error.
                continue
            if isinstance(data, dict):
                self._take(data, line)
        return bool(self._held)

    def _take(self, data: dict[str, Any], line: bytes) -> None:
        try:
            if "census" in data:
                what, step = data["census"]
                self.counted.append((_known(what), str(step), _census(data)))
            elif "seen" in data:
                seen = [parse_seen(each) for each in data["seen"]]
                if type(data["trace"]) is not int:
                    raise ValueError("a trace has a number")
                self._seen.setdefault(data["trace"], []).extend(seen)
            elif "kernel" in data:
                self.described = dict(data["kernel"])
                if self.described.get("support") != "supported":
                    reason = printable(str(self.described.get("reason")))
                    raise UnsupportedError(f"nothing to compare: {reason}")
            elif "held" in data:
                self._held = _checked_held(data["held"])
            else:
                record = parse_record(line)
                if not isinstance(record, Run):
                    raise ValueError("no run")
                self.runs.append(record)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordError(line, f"not a line of the observer: {error!r}") from None

    @property
    def kernel(self) -> Kernel:
        """The kernel, as far as judging needs it. Raises RecordError."""
        return Kernel.of(self.described)

    @property
    def vmcoreinfo(self) -> bytes:
        """What a reader of the kernel's memory must know."""
        return str(self._held["vmcoreinfo"]).encode("ascii")

    def cell(self, index: int) -> list[tuple[str, SlabCounts]]:
        """The census before a cell, and that after each of its steps."""
        return [(step, census) for what, step, census in self.counted if what == index]

    def after(self, what: str) -> SlabCounts:
        """The last census of that name."""
        for name, _, each in reversed(self.counted):
            if name == what:
                return each
        raise RecordError("", f"the observer counted no slab objects at {what}")

    def seen(self, trace: int) -> Sequence[Seen]:
        """What the steps of a trace were seen to do."""
        return self._seen.get(trace, [])

    def held_cell(self, index: int) -> tuple[list[int], int]:
        """The pids of a cell's process and children, and where its arena is."""
        try:
            cell = self._held["cells"][index]
        except IndexError:
            raise RecordError("", f"the observer stopped no cell {index}") from None
        return cell["pids"], cell["start"]

    def held_trace(self, index: int) -> tuple[list[int], int]:
        """The pids of a trace's processes by number, 0 for none, and its arena."""
        try:
            return self._held["traces"][index], self._held["start"]
        except IndexError:
            raise RecordError("", f"the observer stopped no trace {index}") from None


def _known(what: object) -> int | str:
    if type(what) is int or type(what) is str:
        return what
    raise ValueError("a census is of a cell or has a name")


def _census(data: dict[str, Any]) -> SlabCounts:
    return SlabCounts(
        objects={
            int(name.rpartition("-")[2]): _counted(count)
            for name, count in sorted(data["objects"].items())
        },
        calls={str(name): _counted(count) for name, count in data["calls"].items()},
    )


def _counted(count: object) -> int:
    if type(count) is not int or not 0 <= count < 1 << 63:
        raise ValueError("what is counted is a number")
    return count


def _checked_held(data: dict[str, Any]) -> dict[str, Any]:
    for cell in _list(data["cells"]):
        _check_numbers([cell["start"], *_list(cell["pids"])])
    for pids in _list(data["traces"]):
        _check_numbers(_list(pids))
    _check_numbers([data["start"]])
    if type(data["vmcoreinfo"]) is not str or not data["vmcoreinfo"].isascii():
        raise ValueError("vmcoreinfo is text")
    return data


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("cells, traces and pids are lists")
    return value


def _check_numbers(values: Sequence[object]) -> None:
    if not all(type(value) is int and value >= 0 for value in values):
        raise ValueError("pids and addresses are numbers")
