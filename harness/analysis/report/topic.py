"""What a campaign asks, told by what varies in it, and which cell speaks for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import pandas as pd

from harness.analysis.claims import Claim
from harness.analysis.costs import Cost
from harness.analysis.effects import Effect
from harness.analysis.processes import Arm, Place, time_first
from harness.analysis.published import published_percent
from harness.analysis.report.by_metric import ByMetric
from harness.analysis.slopes import Slope

# So many lengths, or numbers of VMAs, are measured to see how cost grows with them.
_MANY_LENGTHS, _MANY_COUNTS = 4, 5


class Topic(Enum):
    """What a campaign asks, in words."""

    PUBLISHED = (
        "What does a named anonymous VMA cost at fork, beside the figures of 2021?"
    )
    SCALE = "How does what names cost at fork grow with the number of VMAs?"
    LENGTH = "What does the length of a name cost at fork?"
    SHARING = "Does it matter at fork whether VMAs share one name?"
    LIFECYCLE = "What do names cost a process besides fork?"
    UNNAMED = "What does a process without names pay for them?"
    GENERAL = "What does a named anonymous VMA cost at fork?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a campaign's tables have, all computed; ``frame`` is its samples."""

    frame: pd.DataFrame
    margin: float
    metrics: tuple[ByMetric, ...]
    claims: tuple[Claim, ...]
    slopes: tuple[Slope, ...]

    def of_metric(self, metric: str) -> ByMetric | None:
        """What there is of a metric; None where it has no usable sample."""
        return next((m for m in self.metrics if m.metric == metric), None)

    def effects(self, metric: str) -> Sequence[Effect]:
        """The effects of a metric, empty where it has none."""
        told = self.of_metric(metric)
        return () if told is None else told.effects

    @property
    def places(self) -> list[Place]:
        """Every kernel, machine and clock of it, those that take time first."""
        found = {e.place for m in self.metrics for e in m.effects}
        found |= {c.place for m in self.metrics for c in m.costs}
        return sorted(found, key=time_first)

    @property
    def topic(self) -> Topic:
        """What it asks."""
        arms = [effect.arm for effect in self.effects("fork")]
        if not arms:
            return Topic.UNNAMED
        if len({arm.name_length for arm in arms}) >= _MANY_LENGTHS:
            return Topic.LENGTH
        if len({arm.vmas for arm in arms}) >= _MANY_COUNTS:
            return Topic.SCALE
        if self.of_metric("split") is not None:
            return Topic.LIFECYCLE
        if len({arm.naming for arm in arms}) > 1:
            return Topic.SHARING
        if any(published_percent(arm) is not None for arm in arms):
            return Topic.PUBLISHED
        return Topic.GENERAL


def main_cell(effects: Iterable[Effect], unit: str) -> list[Effect]:
    """The effects of the cell that speaks for a clock: copied, shared, or both.

    The largest one that has both stores, with the fewest written pages and the
    longest names, each VMA's own; of several kernels that of the newest base.
    """
    cells: dict[Arm, list[Effect]] = {}
    for effect in effects:
        if effect.place.unit == unit:
            cells.setdefault(replace(effect.arm, store="any"), []).append(effect)

    def rank(arm: Arm) -> tuple[object, ...]:
        stores = {effect.arm.store for effect in cells[arm]}
        own = arm.naming == "distinct"
        return len(stores), arm.vmas, -arm.written_pages, own, arm.name_length

    if not cells:
        return []
    told = cells[max(cells, key=rank)]
    stores = [
        s for s in ("strdup", "refcounted") if any(e.arm.store == s for e in told)
    ]
    return [max((e for e in told if e.arm.store == s), key=newest) for s in stores]


def newest(told: Effect | Claim | Slope | Cost) -> tuple[object, ...]:
    """What is the largest of several places: the newest base, both stores in one."""
    place = told.place
    base = tuple(int(part) for part in place.base.split(".") if part.isdecimal())
    return base, place.variant == "switch", place.words
