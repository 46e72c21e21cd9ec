"""The question of a campaign, found from what varies in it, and its main cell."""

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

# From this many lengths or VMA counts on, the question is how cost grows with them.
_MANY_LENGTHS, _MANY_COUNTS = 4, 5


class Topic(Enum):
    """The question of a campaign, in words."""

    PUBLISHED = "What does a named anonymous VMA cost at fork, compared with 2021?"
    SCALE = "How does the cost of names at fork grow with the number of VMAs?"
    LENGTH = "How does the cost of a name at fork depend on its length?"
    SHARING = "Does it matter at fork whether VMAs share one name?"
    LIFECYCLE = "What do names cost in calls other than fork?"
    UNNAMED = "What does a process without names pay for the feature?"
    GENERAL = "What does a named anonymous VMA cost at fork?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All computed results of a campaign; ``frame`` has its samples."""

    frame: pd.DataFrame
    margin: float
    metrics: tuple[ByMetric, ...]
    claims: tuple[Claim, ...]
    slopes: tuple[Slope, ...]

    def of_metric(self, metric: str) -> ByMetric | None:
        """The results for a metric; None if it has no usable sample."""
        return next((m for m in self.metrics if m.metric == metric), None)

    def effects(self, metric: str) -> Sequence[Effect]:
        """The effects of a metric; empty if there are none."""
        here = self.of_metric(metric)
        return () if here is None else here.effects

    @property
    def places(self) -> list[Place]:
        """Every kernel, machine and clock; clocks of time come first."""
        found = {e.place for m in self.metrics for e in m.effects}
        found |= {c.place for m in self.metrics for c in m.costs}
        return sorted(found, key=time_first)

    @property
    def topic(self) -> Topic:
        """The question of the campaign."""
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
    """The effects of a clock's main cell: copied, shared, or both.

    The main cell has both stores if possible, the most VMAs, the fewest written pages,
    a name of its own for each VMA, and the longest names, in this order. If several
    kernels have it, the newest base counts.
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
    main = cells[max(cells, key=rank)]
    stores = [
        s for s in ("strdup", "refcounted") if any(e.arm.store == s for e in main)
    ]
    return [max((e for e in main if e.arm.store == s), key=newest) for s in stores]


def newest(found: Effect | Claim | Slope | Cost) -> tuple[object, ...]:
    """Sort key of places: the newest base, then a kernel with both stores."""
    place = found.place
    base = tuple(int(part) for part in place.base.split(".") if part.isdecimal())
    return base, place.variant == "switch", place.words
