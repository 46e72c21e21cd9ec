"""A trace and what a kernel did in each step, as one line of JSON.

The line is untrusted input: parsing checks everything.

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
# The longest line, in bytes. A trace of 98 307 operations on 65 536 VMAs has 20 MB.
LONGEST = 1 << 28


class Change(NamedTuple):
    """New lines in the maps of a process.

    ``before`` and ``after`` count the old lines that are kept before and after them.
    """

    who: int
    before: int
    after: int
    lines: tuple[str, ...]


class Seen(NamedTuple):
    """What one step did: errno or 0, changes in maps, warnings in the kernel's log.

    ``looked`` is false if maps were not read after the step.
    """

    code: int
    changes: tuple[Change, ...]
    complaints: tuple[str, ...] = ()
    looked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A trace, the kernel that played it, and what each step did.

    ``kernel`` is the executor's description. If ``seen`` is empty, the trace has
    not been played yet. ``note`` is for human readers.
    """

    pages: int
    steps: tuple[Step, ...]
    kernel: Mapping[str, Any]
    seen: tuple[Seen, ...]
    note: str = ""


def parse_seen(data: Any) -> Seen:
    """Parse the list that the executor writes for one step. Raises RecordError."""
    try:
        code, changes, *rest = data
        complaints = tuple(str(line) for line in (rest[0] if rest else ()))
        if type(code) is not int:
            raise ValueError("the errno must be a number")
        if changes is None:
            return Seen(code, (), complaints, looked=False)
        made = tuple(_change(*change) for change in changes)
        return Seen(code, made, complaints)
    except (TypeError, ValueError) as error:
        raise RecordError(repr(data), str(error)) from None


def _change(who: Any, before: Any, after: Any, lines: Any) -> Change:
    numbers = (who, before, after)
    if any(type(n) is not int or n < 0 for n in numbers) or who >= MOST_PROCESSES:
        raise ValueError("a change must be a process, two counts and a list of lines")
    if not isinstance(lines, list) or not all(type(line) is str for line in lines):
        raise ValueError("the lines must be text")
    return Change(who, before, after, tuple(lines))


def render_recording(recording: Recording) -> bytes:
    """The recording as one line of JSON."""
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
    """The inverse of ``render_recording``.

    Raises RecordError for a malformed line, UsageError for impossible steps.
    """
    if len(line) > LONGEST:
        raise RecordError(line, f"longer than {LONGEST} bytes")
    try:
        data = json.loads(line)
        if data["kind"] != "trace" or data["schema"] != SCHEMA:
            raise ValueError(f"a trace of schema {SCHEMA} was expected")
        pages, kernel, note = data["pages"], data["kernel"], data["note"]
        if type(pages) is not int or type(kernel) is not dict or type(note) is not str:
            raise ValueError("pages, kernel or note has the wrong type")
        steps = tuple(parse_step(step) for step in data["steps"])
        seen = tuple(parse_seen(each) for each in data["seen"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RecordError(line, f"not a trace: {error}") from None
    check_steps(list(steps), pages)
    if len(seen) > len(steps):
        raise UsageError(
            f"the trace has {len(steps)} steps, but {len(seen)} steps were observed"
        )
    return Recording(pages=pages, steps=steps, kernel=kernel, seen=seen, note=note)
