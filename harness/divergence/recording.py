"""A trace with what a kernel was seen to do: a line of JSON, hostile until parsed.

SCHEMA history
  1  first format
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.errors import RecordError, UsageError
from harness.workload.ops import (
    MOST_PROCESSES,
    Step,
    check_steps,
    parse_step,
    render_step,
)

SCHEMA = 1
# Of a line, in bytes; a trace of 98 307 operations on 65 536 VMAs has 20 MB.
LONGEST = 1 << 28


class Change(NamedTuple):
    """What is new in a process's maps: how many lines stay before and after it."""

    who: int
    before: int
    after: int
    lines: tuple[str, ...]


class Seen(NamedTuple):
    """What one step was seen to do: errno or 0, changes, what the kernel logged.

    ``looked`` is whether maps were read after it.
    """

    code: int
    changes: tuple[Change, ...]
    complaints: tuple[str, ...] = ()
    looked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A trace, the kernel it was played on, and what each step was seen to do.

    ``kernel`` is as the player described it. Without ``seen`` it is only asked
    for. ``note`` is for people.
    """

    pages: int
    steps: tuple[Step, ...]
    kernel: Mapping[str, Any]
    seen: tuple[Seen, ...]
    note: str = ""


def parse_seen(data: Any) -> Seen:
    """One step's list as the player writes it. Raises RecordError."""
    try:
        code, changes, *rest = data
        complaints = tuple(str(line) for line in (rest[0] if rest else ()))
        if type(code) is not int:
            raise ValueError("an errno is a number")
        if changes is None:
            return Seen(code, (), complaints, looked=False)
        made = tuple(_change(*change) for change in changes)
        return Seen(code, made, complaints)
    except (TypeError, ValueError) as error:
        raise RecordError(repr(data), str(error)) from None


def _change(who: Any, before: Any, after: Any, lines: Any) -> Change:
    numbers = (who, before, after)
    if any(type(n) is not int or n < 0 for n in numbers) or who >= MOST_PROCESSES:
        raise ValueError("a change is a process, two counts and lines")
    if not isinstance(lines, list) or not all(type(line) is str for line in lines):
        raise ValueError("lines are text")
    return Change(who, before, after, tuple(lines))


def render_recording(recording: Recording) -> bytes:
    """A recording as one line."""
    data = {
        "kind": "trace",
        "schema": SCHEMA,
        "note": recording.note,
        "pages": recording.pages,
        "kernel": dict(recording.kernel),
        "steps": [render_step(step) for step in recording.steps],
        "seen": [_rendered(seen) for seen in recording.seen],
    }
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def _rendered(seen: Seen) -> Sequence[Any]:
    changes = [list(change) for change in seen.changes] if seen.looked else None
    return [seen.code, changes, *([list(seen.complaints)] if seen.complaints else [])]


def parse_recording(line: bytes) -> Recording:
    """The inverse. Raises RecordError, or UsageError for steps that can't be."""
    if len(line) > LONGEST:
        raise RecordError(line, f"longer than {LONGEST} bytes")
    try:
        data = json.loads(line)
        if data["kind"] != "trace" or data["schema"] != SCHEMA:
            raise ValueError(f"a trace of schema {SCHEMA} was expected")
        pages, kernel, note = data["pages"], data["kernel"], data["note"]
        if type(pages) is not int or type(kernel) is not dict or type(note) is not str:
            raise ValueError("pages, kernel or note is of the wrong kind")
        steps = tuple(parse_step(step) for step in data["steps"])
        seen = tuple(parse_seen(each) for each in data["seen"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RecordError(line, f"no trace: {error}") from None
    check_steps(list(steps), pages)
    if len(seen) > len(steps):
        raise UsageError(f"{len(seen)} steps were seen of a trace of {len(steps)}")
    return Recording(pages=pages, steps=steps, kernel=kernel, seen=seen, note=note)
