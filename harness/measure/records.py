"""What a campaign keeps: runs, samples, counts, ends, one JSON object a line.

SCHEMA history
  1  first format
  2  a run can be superseded
"""

import json
import typing
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from harness.errors import RecordError

SCHEMA = 2
# Schema 2 only adds a kind: what was written as 1 is read as it is.
SCHEMAS = (1, 2)
# What is longer, in bytes, is no record.
LONGEST = 1 << 20


class Metric(Enum):
    """What a sample measures; each is the cost between two clock reads.

    NAME: all calls of the naming scheme, the interpreter's loop included.
    FORK: clone as the parent sees it, the child held until it returned.
    EXIT_REAP: from the child's last act before exit to wait4's return.
    RENAME: the same calls with other names.
    SPLIT: one mprotect a VMA, which cuts it in two; for VMAs with a page to spare.
    MUNMAP: one munmap of the whole arena.
    """

    NAME = "name"
    FORK = "fork"
    EXIT_REAP = "exit_reap"
    RENAME = "rename"
    SPLIT = "split"
    MUNMAP = "munmap"


class Unit(Enum):
    """What a clock counted: instructions (icount) or nanoseconds (silicon)."""

    INSNS = "insns"
    NS = "ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process's worth of results: what it was and where it ran.

    ``session`` is one invocation of the harness, ``boot`` counts its guests,
    ``block`` the rounds within a boot, ``position`` the processes of a boot.
    ``clock_step`` is what the clock was seen to advance by, in ``unit``.
    ``map_count`` is the number of lines of the process's maps before naming.
    ``build_id`` and ``config_sha256`` were read from the running kernel.
    ``settle_ms`` is the sleep before each fork, ``rest_ms`` that while VMAs are
    made, in milliseconds of the clock;
    ``settings`` the sysctls that were changed for it.
    ``launched`` is the host's time (UTC, ISO 8601) when the guest was started.
    """

    schema: int
    run: str
    campaign: str
    session: str
    boot: int
    boot_id: str
    block: int
    position: int
    seed: int
    variant: str
    base: str
    store: str
    vmas: int
    vma_pages: int
    written_pages: int
    naming: str
    name_length: int
    target: str
    accelerator: str
    clock: str
    unit: str
    clock_step: int
    machine: str
    cpu: str
    pinned_cpu: int
    fifo: bool
    kernel_release: str
    kernel_version: str
    build_id: str | None
    config_sha256: str | None
    settle_ms: int
    rest_ms: int
    settings: str
    map_count: int
    max_map_count: int
    python: str
    harness: str
    launched: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One number: a metric in a unit, in the order it was taken within its run.

    ``began`` is the clock when the interval began. A sample that is not valid is
    kept, with the reason; a warmup is kept and not analysed. ``store`` is what
    the kernel said when the sample was taken.
    """

    run: str
    order: int
    began: int
    metric: str
    unit: str
    value: int
    store: str
    repetition: int
    warmup: bool
    valid: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What the kernel counted in one step of a run that was not timed.

    ``step`` is built, named or fork N; ``what`` is allocated or freed (structs), or
    a slab class in bytes (objects); ``predicted`` is what the model says.
    """

    run: str
    step: str
    what: str
    predicted: int
    counted: int
    agrees: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """A run is over; an invalid one was not timed, or not wholly, and says why.

    ``seal`` is the SHA-256, in hex, of the run's lines before this one: a
    changed, lost or added one shows wherever they are carried to.
    """

    run: str
    valid: bool
    reason: str
    seal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """A run that ended valid was measured again: its samples are not analysed.

    Its block was not complete when its guest was gone. Stands after the run's end.
    """

    run: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A guest's job is over: its exit status, negative for the signal it died of."""

    code: int


Record = Run | Sample | Count | RunEnd | Superseded | Status

KINDS: dict[str, type[Record]] = {
    "run": Run,
    "sample": Sample,
    "count": Count,
    "end": RunEnd,
    "superseded": Superseded,
    "status": Status,
}
# Fields whose values are listed, and those values.
CLOSED = {
    "metric": frozenset(metric.value for metric in Metric),
    "unit": frozenset(unit.value for unit in Unit),
}
_NAMES = {kind: name for name, kind in KINDS.items()}
# What the values of each field may be; a bool is an int to Python, not to us.
FIELDS: dict[type[Record], dict[str, tuple[object, ...]]] = {
    kind: {
        name: typing.get_args(wanted) or (wanted,)
        for name, wanted in typing.get_type_hints(kind).items()
    }
    for kind in _NAMES
}
_INT64 = range(-(1 << 63), 1 << 63)


def render_record(record: Record) -> bytes:
    """The record as one line of JSON, newline included."""
    fields_of = {"kind": _NAMES[type(record)], **asdict(record)}
    return json.dumps(fields_of, separators=(",", ":")).encode() + b"\n"


def parse_record(line: bytes) -> Record:
    """One line, with or without its newline, as a record.

    Raises RecordError, which shows the line, for anything but exactly the
    fields of a record of this schema in their types: whole numbers of 64 bits,
    text without halves of characters, each field once.
    """
    if len(line) > LONGEST:
        raise RecordError(line, f"longer than {LONGEST} bytes")
    try:
        # Any: what JSON holds is unknown until checked below.
        found: Any = json.loads(line.decode(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise RecordError(line, f"not JSON ({error})") from None
    if not isinstance(found, dict):
        raise RecordError(line, "not a JSON object")
    kind = KINDS.get(str(found.pop("kind", None)))
    if kind is None:
        raise RecordError(line, f"its kind is none of {', '.join(KINDS)}")
    if kind is Run and found.get("schema") not in SCHEMAS:
        raise RecordError(
            line,
            f"schema {found.get('schema')!r}, this harness reads "
            f"{' and '.join(map(str, SCHEMAS))}",
        )
    wanted = FIELDS[kind]
    if found.keys() != wanted.keys():
        if missing := [name for name in wanted if name not in found]:
            raise RecordError(line, f"no field {', '.join(missing)}")
        unknown = sorted(set(found) - set(wanted))
        raise RecordError(line, f"unknown field {', '.join(unknown)}")
    for name, types in wanted.items():
        value = found[name]
        if type(value) not in types:
            raise RecordError(line, f"field {name} has the wrong type")
        if type(value) is int and value not in _INT64:
            raise RecordError(line, f"field {name} is beyond 64 bits")
        if type(value) is str and not value.isascii() and not _is_whole(value):
            raise RecordError(line, f"field {name} has half a surrogate pair")
        if name in CLOSED and value not in CLOSED[name]:
            raise RecordError(line, f"field {name} is not one of its values")
    return kind(**found)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
