"""The records of a campaign: runs, samples, counts, ends; one JSON object per line.

SCHEMA history
  1  first format
  2  a run can be superseded
  3  a run has its protocol; older runs have only the version of the harness
"""

from dataclasses import dataclass
from enum import Enum

from harness.lean.texts import render_json

SCHEMA = 3
SCHEMAS = (1, 2, 3)
# The first schema whose runs have the field protocol.
WITH_PROTOCOL = 3
# The longest record, in bytes.
LONGEST = 1 << 20


class Metric(Enum):
    """What a sample measures, between two reads of the clock.

    NAME: all calls of the naming scheme, with the interpreter's loop.
    FORK: clone in the parent; the child runs only after clone returned.
    EXIT_REAP: from the child's last action before exit to the return of wait4.
    RENAME: the calls of NAME again, with other names.
    SPLIT: one mprotect per VMA, which splits it; needs VMAs with an unwritten page.
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
    """One measured process: its cell, and the kernel and machine it ran on.

    ``session`` is one invocation of the harness; ``boot`` numbers its guests.
    ``block`` numbers the rounds of a boot, ``position`` the processes of a boot.
    ``clock_step`` is the measured step of the clock, in ``unit``.
    ``map_count`` is the number of lines in the process's maps before naming.
    ``build_id`` and ``config_sha256`` were read from the running kernel.
    ``settle_ms`` is the sleep before each fork, ``rest_ms`` the sleep now and then
    while VMAs are made, both in milliseconds of the clock.
    ``settings`` are the sysctls that were changed for it.
    ``protocol`` is the version of the measurement (harness.worker.measure.protocol);
    ``harness`` is the version of the harness, for information only.
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
    """One measured number: a metric in a unit.

    ``order`` numbers the samples of a run. ``began`` is the clock at the start of the
    interval. Invalid samples are kept with the reason; warmups are kept, but not
    analysed. ``store`` is the kernel's store when the sample was taken.
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
    """One counter of the kernel, for one step of a run that was not timed.

    ``step`` is built, named or fork N. ``what`` is allocated or freed (structs), or
    a slab class in bytes (objects). ``predicted`` is the model's number.
    """

    run: str
    step: str
    what: str
    predicted: int
    counted: int
    agrees: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """The end of a run. An invalid run was not timed, or not completely.

    ``reason`` says why a run is invalid. ``seal`` is the SHA-256, in hex, of the run's
    lines before this one. It reveals a changed, lost or added line, also after the
    records were copied elsewhere.
    """

    run: str
    valid: bool
    reason: str
    seal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """A valid run whose samples are not analysed, because it was measured again.

    Its guest was lost before its block was complete. This record follows the run's end.
    """

    run: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A guest's job has ended: its exit status; negative for the signal it died of."""

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
    """The record as one line of JSON, with its newline."""
    kind = type(record)
    fields_of: dict[str, object] = {"kind": _NAMES[kind]}
    for name in _FIELDS[kind]:
        fields_of[name] = getattr(record, name)
    if isinstance(record, Run) and record.schema < WITH_PROTOCOL:
        # Render it as it was written: the seal covers that line.
        del fields_of["protocol"]
    return render_json(fields_of).encode() + b"\n"
