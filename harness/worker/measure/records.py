"""What a campaign keeps: runs, samples, counts, ends, one JSON object a line.

SCHEMA history
  1  first format
  2  a run can be superseded
  3  a run says its protocol; of older ones the version of the harness does
"""

from dataclasses import dataclass
from enum import Enum

from harness.lean.texts import render_json

SCHEMA = 3
SCHEMAS = (1, 2, 3)
# The first schema whose runs say their protocol.
WITH_PROTOCOL = 3
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
    ``protocol`` says what its worker measures (see harness.worker.measure.protocol);
    ``harness`` is the version of the harness, for information.
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
    protocol: int
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
_NAMES = {kind: name for name, kind in KINDS.items()}
_FIELDS: dict[type[Record], tuple[str, ...]] = {
    kind: tuple(kind.__slots__) for kind in _NAMES
}


def render_record(record: Record) -> bytes:
    """The record as one line of JSON, newline included."""
    kind = type(record)
    fields_of: dict[str, object] = {"kind": _NAMES[kind]}
    for name in _FIELDS[kind]:
        fields_of[name] = getattr(record, name)
    if isinstance(record, Run) and record.schema < WITH_PROTOCOL:
        # As it was written: its seal is over that.
        del fields_of["protocol"]
    return render_json(fields_of).encode() + b"\n"
