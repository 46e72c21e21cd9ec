"""Finds which blocks of a campaign are finished, so that it can be resumed.

A block is finished when one guest has measured all its cells, because boots are
compared block by block. If a guest ended within a block, its runs stay in the
records and are marked as superseded, and the block is measured again.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.campaign.plan import Plan
from harness.host.files import lines_of
from harness.targets.subjects import Subject
from harness.worker.measure import Count, Record, Run, RunEnd, Superseded, parse_record
from harness.worker.measure.records import LONGEST
from harness.workload import Cell

_SAMPLE = b'{"kind":"sample"'
# The fields of a run record that identify its cell.
_Key = tuple[str, int, int, int, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a campaign has measured so far.

    ``finished`` has (kernel, boot, block) of each finished block, ``left`` the valid
    runs of unfinished blocks. ``kept`` has one finished run of each kernel: new runs
    are pooled with it.
    """

    finished: frozenset[tuple[str, int, int]] = frozenset()
    left: tuple[str, ...] = ()
    kept: dict[str, Run] = field(default_factory=dict)


def read_standing(path: Path, plan: Plan, subjects: Sequence[Subject]) -> Standing:
    """The standing of a campaign, from its records. Raises RecordError."""
    return standing_of(records_but_samples(path), plan, subjects)


def standing_of(
    records: Iterable[Record], plan: Plan, subjects: Sequence[Subject]
) -> Standing:
    """The standing of a plan on some kernels.

    Other records are ignored: runs of other kernels, imported runs whose cell is not
    in the plan, and runs of ``audit``, which have no samples.
    """
    by_name = {subject.name: subject for subject in subjects}
    wanted = {
        subject.name: Counter(map(_key_of_cell, plan.cells(subject.stores)))
        for subject in subjects
    }
    begun: dict[str, Run] = {}
    measured: dict[tuple[str, str, int, int], dict[str, Run]] = defaultdict(dict)
    for record in records:
        match record:
            case Run(run=run, variant=name):
                if (
                    name in by_name
                    and by_name[name].has_run(record)
                    and _key_of_run(record) in wanted[name]
                ):
                    begun[run] = record
            case Count(run=run):
                begun.pop(run, None)
            case RunEnd(run=run, valid=True) if run in begun:
                measured[_block_of(begun[run])][run] = begun[run]
            case Superseded(run=run) if run in begun:
                measured[_block_of(begun[run])].pop(run, None)
    finished, kept = set(), {}
    left: list[str] = []
    for (name, _, boot, block), runs in measured.items():
        if Counter(map(_key_of_run, runs.values())) == wanted[name]:
            finished.add((name, boot, block))
            kept[name] = next(iter(runs.values()))
        else:
            left += runs
    return Standing(finished=frozenset(finished), left=tuple(left), kept=kept)


def _block_of(run: Run) -> tuple[str, str, int, int]:
    return run.variant, run.session, run.boot, run.block


def _key_of_run(run: Run) -> _Key:
    return (
        run.store, run.vmas, run.vma_pages, run.written_pages,
        run.naming, run.name_length,
    )  # fmt: skip


def _key_of_cell(cell: Cell) -> _Key:
    layout, naming = cell.layout, cell.naming
    return (
        cell.store.value, layout.vmas, layout.vma_pages, layout.written_pages,
        naming.kind.value, naming.length,
    )  # fmt: skip


def records_but_samples(path: Path) -> Iterator[Record]:
    """The records of a campaign without the samples, which are the most.

    There are none if there is no file. Raises RecordError for a bad line.
    """
    if not path.exists():
        return
    for line in lines_of(path, longest=LONGEST):
        if len(line) > LONGEST or not line.startswith(_SAMPLE):
            yield parse_record(line)
