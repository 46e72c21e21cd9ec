"""Compares two campaigns, or the arms of one, cell by cell against a margin.

There are four forms:

* the calls of two campaigns
* the effects of two campaigns (what names add to a call), whose calls need not be
  comparable
* the named arms of one campaign with its unnamed ones
* copied with shared names of one campaign, for metrics that only named processes have

Two campaigns have no boots in common, so their boots are not paired (``unpaired``). The
arms of one campaign are paired within boot and block, with the numbers of ``effects``.
Each form lists what it could not compare (``missing``).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from harness.analysis.aa_check import AACheck, aa_checks, checks_of
from harness.analysis.comparison.matching import (
    Frames,
    Matching,
    check_comparable,
    check_one_kernel,
    differing,
    listed,
)
from harness.analysis.comparison.missing import (
    FIRST,
    SECOND,
    Side,
    Wanted,
    fewer_boots,
    fewer_than_other,
    lacking,
    lost_metrics,
    side_of,
    unmatched,
    unmeasured_kernels,
)
from harness.analysis.comparison.promise import NAMED_ONLY, Promise
from harness.analysis.comparison.result import Compared, Comparison, Differing, Form
from harness.analysis.comparison.stores import StoreChange, shared_of, store_changes
from harness.analysis.comparison.unpaired import change, difference
from harness.analysis.costs import Cost, cell_costs
from harness.analysis.effects import Effect, cell_effects
from harness.analysis.processes import Arm, Place
from harness.analysis.records.frames import load
from harness.analysis.stats import holm
from harness.errors import UsageError

# Facts that must be equal to compare two campaigns; the kernels may differ.
COMPARABLE = (
    "target", "machine", "accelerator", "unit", "clock", "cpu", "settle_ms",
    "rest_ms", "settings", "protocol",
)  # fmt: skip

Promises = tuple[Promise | None, Promise | None]
UNPROMISED: Promises = (None, None)


def load_kernel(
    path: Path, variant: str | None = None, base: str | None = None
) -> pd.DataFrame:
    """A campaign's samples (see ``load``), of ``variant`` and ``base`` if given."""
    frame = load(path)
    for what, column, name in (
        ("kernel", "variant", variant), ("base", "base", base),
    ):  # fmt: skip
        if name is None:
            continue
        known = listed(set(map(str, frame[column].unique())))
        frame = frame[frame[column] == name]
        if frame.empty:
            raise UsageError(f"{path} has no {what} called {name!r}; it has {known}")
    return frame


def compare_campaigns(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    margin: float,
    metric: str = "fork",
    promises: Promises = UNPROMISED,
) -> Comparison:
    """Compare the calls of every common cell, the second campaign with the first.

    ``promises`` come from their plans. Raises UsageError, with the first fact that
    differs, for campaigns that cannot be compared.
    """
    frames = first, second
    check_one_kernel(frames)
    check_comparable(frames, COMPARABLE)
    sides = _sides(frames, metric, promises)
    matching = Matching(sides, across_machines=False)
    costs = [
        {matching.key(c.place, c.arm): c for c in found}
        for found in (cell_costs(f, margin=margin, metric=metric) for f in frames)
    ]
    pairs = [(costs[0][key], costs[1][key]) for key in costs[0] if key in costs[1]]
    return _of_two(
        _Two(Form.CALLS, frames, sides, matching, margin),
        [side.arms() for side in sides],
        [_compared_costs(a, b, margin) for a, b in pairs],
        [[(pair[i].place, pair[i].arm) for pair in pairs] for i in (0, 1)],
    )


def compare_effects(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    margin: float,
    metric: str = "fork",
    promises: Promises = UNPROMISED,
) -> Comparison:
    """Compare what names add to a call, the second campaign with the first.

    Kernels, machines and versions of the harness may differ, because each effect is
    measured within one boot. Raises UsageError if the units differ, and for a metric
    that unnamed processes do not have.
    """
    if metric in NAMED_ONLY:
        raise UsageError(
            f"unnamed processes have no {metric}, so there is nothing to subtract: "
            "compare the calls, without --effects"
        )
    frames = first, second
    check_one_kernel(frames)
    units = [set(map(str, frame["unit"].unique())) for frame in frames]
    if not units[0] & units[1]:
        raise UsageError(
            f"effects in {listed(units[0])} and in {listed(units[1])} cannot be "
            "compared: give two campaigns of one unit"
        )
    sides = _sides(frames, metric, promises)
    matching = Matching(sides, across_machines=True)
    effects = [
        {matching.key(e.place, e.arm): e for e in found}
        for found in (cell_effects(f, margin=margin, metric=metric) for f in frames)
    ]
    pairs = [
        (effects[0][key], effects[1][key]) for key in effects[0] if key in effects[1]
    ]
    return _of_two(
        _Two(Form.EFFECTS, frames, sides, matching, margin),
        [side.named() for side in sides],
        [_compared_effects(a, b, margin) for a, b in pairs],
        [[(pair[i].place, pair[i].arm) for pair in pairs] for i in (0, 1)],
    )


def compare_arms(
    frame: pd.DataFrame,
    *,
    margin: float,
    metric: str = "fork",
    promise: Promise | None = None,
) -> Comparison:
    """Compare the named arms of one campaign with its unnamed ones.

    For a metric that only named processes have, compare copied with shared names.
    Raises UsageError if the campaign has no such arms.
    """
    side = side_of(frame, metric, promise)
    if metric in NAMED_ONLY:
        form, wanted = Form.STORES, side.copied()
        changes = store_changes(frame, margin=margin, metric=metric)
        cells = [_compared_stores(each) for each in changes]
        compared = [
            (c.place, arm) for c in changes for arm in (c.arm, shared_of(c.arm))
        ]
    else:
        form, wanted = Form.ARMS, side.named()
        effects = cell_effects(frame, margin=margin, metric=metric)
        cells = [_compared_arms(each) for each in effects]
        compared = [(e.place, e.arm) for e in effects]
    if not wanted:
        raise UsageError(_why_nothing(side, metric))
    lost = [
        *lacking(wanted, metric), *side.only_unnamed(),
        *unmeasured_kernels(side, FIRST), *lost_metrics(side),
    ]  # fmt: skip
    checks = _checks_of(frame, margin, metric, compared)
    # The verdicts are already corrected, kernel by kernel.
    return Comparison(
        form=form, metric=metric, margin=margin, cells=tuple(cells),
        missing=tuple(lost), fewer_boots=tuple(fewer_boots(wanted, FIRST, metric)),
        checks=len(checks), checks_failed=sum(not check.holds for check in checks),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Two:
    """Two campaigns, and how they are compared."""

    form: Form
    frames: Frames
    sides: tuple[Side, Side]
    matching: Matching
    margin: float

    @property
    def metric(self) -> str:
        return self.sides[0].metric

    @property
    def facts(self) -> list[Differing]:
        found = differing(self.frames, COMPARABLE)
        if self.matching.stores_differ:
            first, second = (listed(side.stores) for side in self.sides)
            found.append(Differing(fact="store", first=first, second=second))
        return found


def _sides(frames: Frames, metric: str, promises: Promises) -> tuple[Side, Side]:
    return side_of(frames[0], metric, promises[0]), side_of(
        frames[1], metric, promises[1]
    )


def _of_two(
    two: _Two,
    wanted: Sequence[Sequence[Wanted]],
    cells: Sequence[Compared],
    compared: Sequence[Sequence[tuple[Place, Arm]]],
) -> Comparison:
    first, second = (two.matching.by_key(side) for side in wanted)
    lost = [
        *unmatched((first, second), two.metric),
        *unmeasured_kernels(two.sides[0], FIRST),
        *unmeasured_kernels(two.sides[1], SECOND), *lost_metrics(*two.sides),
    ]  # fmt: skip
    fewer = [
        *fewer_boots(wanted[0], FIRST, two.metric),
        *fewer_boots(wanted[1], SECOND, two.metric),
    ]
    planned = {(f.side, f.where, f.cell) for f in fewer}
    others = fewer_than_other((first, second), two.metric)
    fewer += [f for f in others if (f.side, f.where, f.cell) not in planned]
    checks = [
        check
        for frame, side in zip(two.frames, compared, strict=True)
        for check in _checks_of(frame, two.margin, two.metric, side)
    ]
    return Comparison(
        form=two.form, metric=two.metric, margin=two.margin,
        cells=tuple(_corrected(cells)), missing=tuple(lost), fewer_boots=tuple(fewer),
        differing=tuple(two.facts), checks=len(checks),
        checks_failed=sum(not check.holds for check in checks),
    )  # fmt: skip


def _checks_of(
    frame: pd.DataFrame,
    margin: float,
    metric: str,
    compared: Iterable[tuple[Place, Arm]],
) -> list[AACheck]:
    """The A/A checks of the compared cells, without duplicates."""
    checks = aa_checks(frame, margin=margin, metric=metric)
    found = {
        (check.place, check.arm): check
        for place, arm in compared
        for check in checks_of(checks, place, arm)
    }
    return list(found.values())


def _corrected(cells: Sequence[Compared]) -> list[Compared]:
    result = list(cells)
    for where in {cell.where for cell in cells}:
        at = [i for i, cell in enumerate(cells) if cell.where == where]
        for i, judged in zip(at, holm([cells[i].judged for i in at]), strict=True):
            result[i] = replace(cells[i], judged=judged)
    return result


def _compared_costs(a: Cost, b: Cost, margin: float) -> Compared:
    exact = a.place.exact
    found, judged = change(a.by_boot, b.by_boot, a.by_boot, margin=margin, exact=exact)
    return Compared(
        metric=a.metric, unit=a.place.unit, where=_where(a.place, b.place),
        cell=_cell(a.arm, b.arm), first=a.total, second=b.total,
        spreads=(_spread(a.by_boot), _spread(b.by_boot)),
        change=found, judged=judged, trusted=a.trusted and b.trusted,
    )  # fmt: skip


def _compared_effects(a: Effect, b: Effect, margin: float) -> Compared:
    exact = a.place.exact
    base = np.array(a.unnamed_by_boot) / a.arm.vmas
    found, judged = change(
        a.extra_by_boot, b.extra_by_boot, base, margin=margin, exact=exact
    )
    return Compared(
        metric=a.metric, unit=a.place.unit, where=_where(a.place, b.place),
        cell=_cell(a.arm, b.arm), first=a.extra, second=b.extra,
        spreads=(_spread(a.extra_by_boot), _spread(b.extra_by_boot)),
        difference=difference(a.extra_by_boot, b.extra_by_boot, exact=exact),
        change=found, judged=judged, trusted=a.trusted and b.trusted,
    )  # fmt: skip


def _compared_arms(effect: Effect) -> Compared:
    return Compared(
        metric=effect.metric, unit=effect.place.unit, where=effect.place.words,
        cell=f"{effect.arm.words} against unnamed",
        first=effect.unnamed, second=effect.named,
        spreads=(_spread(effect.unnamed_by_boot), _spread(effect.named_by_boot)),
        change=effect.percent, judged=effect.judged, trusted=effect.trusted,
    )  # fmt: skip


def _compared_stores(each: StoreChange) -> Compared:
    return Compared(
        metric=each.metric, unit=each.place.unit, where=each.place.words,
        cell=f"{each.arm.words} against {shared_of(each.arm).store}",
        first=each.shared, second=each.copied,
        spreads=(_spread(each.shared_by_boot), _spread(each.copied_by_boot)),
        change=each.percent, judged=each.judged, trusted=each.trusted,
    )  # fmt: skip


def _where(first: Place, second: Place) -> str:
    if first == second:
        return first.words
    return f"{second.words} against {first.words}"


def _cell(first: Arm, second: Arm) -> str:
    if first.store == second.store:
        return second.words
    return f"{second.words} against {first.store}"


def _why_nothing(side: Side, metric: str) -> str:
    if metric not in side.metrics | side.spoilt:
        return f"the campaign has no samples of {metric}"
    if metric in NAMED_ONLY:
        return (
            f"unnamed processes have no {metric}, and no kernel of the campaign has "
            "both shared and copied names: compare two campaigns, or two kernels with "
            "--variant or --base"
        )
    return "the campaign has no named cells to compare with unnamed ones"


def _spread(values: Iterable[float]) -> float:
    boots = np.fromiter(values, dtype=float)
    return float(boots.std(ddof=1)) if len(boots) > 1 else math.nan
