"""Whether two workers measure the same: their difference against the A/A null.

The null of a metric and a layout is how far two boots of one and the same worker lie
apart, at most, in any of its arms: some metrics, as munmap, have several modes, and few
boots of one arm may all be in one. What is a loop of calls (naming, renaming,
splitting) has one null for all layouts: its modes are those of a call, by how the
interpreter's heap happens to be divided. A difference that is no larger is nothing
that a campaign could show: its own boots differ by as much.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.errors import JobFailed

# Of fewer boots the range of each worker is too small to be held against.
LEAST_BOOTS = 4
# Metrics that are a loop of calls.
_LOOPS = ("name", "rename", "split")
_CELL = ("vmas", "vma_pages", "written_pages", "naming", "name_length")


@dataclass(frozen=True, slots=True, order=True)
class Number:
    """What a boot has one of: a metric of a cell, in the store that the kernel told."""

    metric: str
    vmas: int
    vma_pages: int
    written_pages: int
    naming: str
    name_length: int
    store: str

    @property
    def kind(self) -> tuple[str, int, int, int]:
        """What has a null in common: a metric of a layout, or of all where it loops."""
        if self.metric in _LOOPS:
            return self.metric, 0, 0, 0
        return self.metric, self.vmas, self.vma_pages, self.written_pages

    @property
    def label(self) -> str:
        """The cell in a few words."""
        pages = f"{self.written_pages}/{self.vma_pages} pages"
        if self.naming == "none":
            return f"{self.vmas} VMAs, {pages}, unnamed"
        return (
            f"{self.vmas} VMAs, {pages}, {self.naming}:{self.name_length} {self.store}"
        )


@dataclass(frozen=True, slots=True)
class Held:
    """A number of both workers: the old one's, the difference and the null, in %."""

    number: Number
    old: float
    percent: float
    null: float

    @property
    def same(self) -> bool:
        """Whether the workers differ by no more than one of them from itself."""
        return abs(self.percent) <= self.null


def numbers_of(lines: Iterable[bytes]) -> dict[Number, float]:
    """The numbers of one boot: of each metric and cell the median of its samples.

    Any revision's records, so only the fields that are needed are read. Raises
    JobFailed for a sample or a run that is not valid: nothing is left out here.
    """
    runs: dict[str, dict[str, Any]] = {}
    values: dict[Number, list[int]] = defaultdict(list)
    for line in lines:
        # Any: the fields of an older schema, or of one to come.
        record: dict[str, Any] = json.loads(line)
        match record["kind"]:
            case "run":
                runs[record["run"]] = record
            case "sample" | "end" if not record["valid"]:
                raise JobFailed(f"a worker's run is invalid: {record['reason']}", "")
            case "sample" if not record["warmup"]:
                run = runs[record["run"]]
                store = "any" if run["naming"] == "none" else record["store"]
                key = Number(
                    metric=record["metric"], store=store, **{f: run[f] for f in _CELL}
                )  # fmt: skip
                values[key].append(record["value"])
    return {number: median(found) for number, found in values.items()}


def held(
    old: Sequence[Mapping[Number, float]], new: Sequence[Mapping[Number, float]]
) -> list[Held]:
    """Every number of both, from one mapping for each boot of each worker.

    Raises JobFailed where the workers took other numbers, or a boot lacks one: then
    it is another protocol whatever they are.
    """
    assert min(len(old), len(new)) >= LEAST_BOOTS
    taken = {frozenset(boot) for boot in (*old, *new)}
    if len(taken) > 1:
        some = min(frozenset.union(*taken) - frozenset.intersection(*taken))
        raise JobFailed(
            "the boots did not take the same numbers: not all of them have "
            f"{some.metric} of {some.label}", ""
        )  # fmt: skip
    (numbers,) = taken
    nulls: dict[tuple[str, int, int, int], float] = defaultdict(float)
    for number in numbers:
        before = median(boot[number] for boot in old)
        for boots in (old, new):
            found = [boot[number] for boot in boots]
            apart = (max(found) - min(found)) / before * 100
            nulls[number.kind] = max(nulls[number.kind], apart)
    return [
        Held(
            number=number,
            old=(before := median(boot[number] for boot in old)),
            percent=(median(boot[number] for boot in new) / before - 1) * 100,
            null=nulls[number.kind],
        )
        for number in sorted(numbers)
    ]
