"""How far a campaign has come: a plan is gone on with, and no block done twice.

A block is what boots are paired in: it counts when one guest has measured all of
it. What a guest that is gone left of a block stays in the records and is marked
as superseded, as the block is measured again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.campaign.plan import Plan
from harness.campaign.subjects import Subject
from harness.measure import Record, Run, RunEnd, Superseded, parse_record
from harness.measure.records import LONGEST
from harness.reading import lines_of

_SAMPLE = b'{"kind":"sample"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """``finished`` are (kernel, boot, block); ``left`` the valid runs of others."""

    finished: frozenset[tuple[str, int, int]] = frozenset()
    left: tuple[str, ...] = ()


def read_standing(path: Path, plan: Plan, subjects: Sequence[Subject]) -> Standing:
    """The standing of a campaign, from its records; RecordError for a bad one."""
    return standing_of(_records_but_samples(path), plan, subjects)


def standing_of(
    records: Iterable[Record], plan: Plan, subjects: Sequence[Subject]
) -> Standing:
    """The standing of a plan on some kernels, from records of these and of others."""
    by_name = {subject.name: subject for subject in subjects}
    measured: dict[tuple[str, str, int, int], list[str]] = defaultdict(list)
    block_of: dict[str, tuple[str, str, int, int]] = {}
    for record in records:
        match record:
            case Run():
                subject = by_name.get(record.variant)
                if subject is not None and subject.has_run(record):
                    block_of[record.run] = (
                        record.variant, record.session, record.boot, record.block,
                    )  # fmt: skip
            case RunEnd(run=run, valid=True) if run in block_of:
                measured[block_of[run]].append(run)
            case Superseded(run=run) if run in block_of:
                measured[block_of[run]].remove(run)
    finished, left = set(), []
    for (name, _, boot, block), runs in measured.items():
        if len(runs) == len(plan.cells(by_name[name].stores)):
            finished.add((name, boot, block))
        else:
            left += runs
    return Standing(finished=frozenset(finished), left=tuple(left))


def _records_but_samples(path: Path) -> Iterator[Record]:
    if not path.exists():
        return
    for line in lines_of(path, longest=LONGEST):
        if len(line) > LONGEST or not line.startswith(_SAMPLE):
            yield parse_record(line)
