"""The rows of the command line's tables: both stores of a cell, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from harness.analysis.costs import Cost, cell_costs, unnamed_only
from harness.analysis.effects import Effect, cell_effects, reduction
from harness.analysis.processes import Arm, Place
from harness.analysis.published import published_percent
from harness.analysis.stats import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A cell in both stores, or in the only one that was measured.

    ``kernels`` is the one kernel that has both stores, or two kernels of one store
    each; ``place`` is that of the first. ``ratio`` is how many times less sharing
    costs (see ``reduction``); None without both stores. ``published`` has the figures
    of 2021 by store, if there are any.
    """

    place: Place
    kernels: tuple[str, ...]
    arm: Arm
    strdup: Effect | None
    refcounted: Effect | None
    ratio: Interval | None
    published: dict[str, float]

    @property
    def effects(self) -> list[Effect]:
        """The measured stores, the copying one first."""
        return [each for each in (self.strdup, self.refcounted) if each is not None]


def side_by_side(found: Sequence[Effect]) -> list[Row]:
    """Effects as rows, sorted by place, kernels, pages, VMAs, naming."""
    families = dict(zip(map(_identity, found), _families(found), strict=True))
    groups: dict[tuple[Place, Arm], dict[str, Effect]] = {}
    for effect in found:
        place = replace(effect.place, variant=families[_identity(effect)])
        key = (place, replace(effect.arm, store="any"))
        groups.setdefault(key, {})[effect.arm.store] = effect
    return [
        _row(arm, stores)
        for (_, arm), stores in sorted(
            groups.items(), key=lambda item: _order(*item[0])
        )
    ]


def _row(arm: Arm, stores: dict[str, Effect]) -> Row:
    effects = list(stores.values())
    copied, shared = stores.get("strdup"), stores.get("refcounted")
    return Row(
        place=effects[0].place,
        kernels=tuple(sorted({e.place.variant for e in effects})),
        arm=arm,
        strdup=copied,
        refcounted=shared,
        ratio=reduction(copied, shared) if copied and shared else None,
        published={
            store: figure
            for store, effect in stores.items()
            if (figure := published_percent(effect.arm)) is not None
        },
    )


def _families(found: Sequence[Effect]) -> list[str]:
    """For each effect, the kernel that its row is restricted to, or "".

    Two kernels of one store each share a row, like one kernel that has both stores.
    If two kernels of a place have the same store, each has its own rows.
    """
    stores: dict[Place, set[str]] = {}
    for e in found:
        stores.setdefault(e.place, set()).add(e.arm.store)
    rivals: dict[tuple[Place, str], set[str]] = {}
    for e in found:
        if len(stores[e.place]) == 1:
            key = (replace(e.place, variant=""), e.arm.store)
            rivals.setdefault(key, set()).add(e.place.variant)
    return [
        e.place.variant
        if len(stores[e.place]) > 1
        or len(rivals[(replace(e.place, variant=""), e.arm.store)]) > 1
        else ""
        for e in found
    ]


def _identity(effect: Effect) -> tuple[Place, Arm]:
    return effect.place, effect.arm


def _order(place: Place, arm: Arm) -> tuple[object, ...]:
    return (
        place.base, place.target, place.machine, place.accelerator, place.unit,
        place.variant, arm.written_pages, arm.vmas, arm.naming, arm.name_length,
        arm.vma_pages,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What an arm costs, in both stores or in the only one that was measured."""

    place: Place
    arm: Arm
    strdup: Cost | None
    refcounted: Cost | None

    @property
    def costs(self) -> list[Cost]:
        """The measured stores, the copying one first."""
        return [each for each in (self.strdup, self.refcounted) if each is not None]


def costs_side_by_side(costs: Sequence[Cost]) -> list[CostRow]:
    """Costs of named arms as rows, one kernel per row."""
    groups: dict[tuple[Place, Arm], dict[str, Cost]] = {}
    for cost in costs:
        key = (cost.place, replace(cost.arm, store="any"))
        groups.setdefault(key, {})[cost.arm.store] = cost
    return [
        CostRow(
            place=place, arm=arm,
            strdup=stores.get("strdup"), refcounted=stores.get("refcounted"),
        )
        for (place, arm), stores in sorted(
            groups.items(), key=lambda item: _order(*item[0])
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricTables:
    """The rows of a campaign for one metric.

    ``effects`` if it has named and unnamed cells, else ``costs`` of the named cells.
    ``unnamed`` has the kernels that were measured without names only.
    """

    metric: str
    effects: tuple[Row, ...]
    costs: tuple[CostRow, ...]
    unnamed: tuple[Cost, ...]


def metric_tables(frame: pd.DataFrame, metric: str, *, margin: float) -> MetricTables:
    """Every table of a metric. Raises UsageError if runs cannot be pooled."""
    effects = cell_effects(frame, margin=margin, metric=metric)
    costs = cell_costs(frame, margin=margin, metric=metric)
    alone = [] if effects else [cost for cost in costs if cost.arm.named]
    return MetricTables(
        metric=metric,
        effects=tuple(side_by_side(effects)),
        costs=tuple(costs_side_by_side(alone)),
        unnamed=tuple(unnamed_only(costs)),
    )
