"""Results as tables, for notebooks and reports: plain column names, with units.

An estimate has three columns: its value, and its bounds ``, low`` and ``, high``. They
are rounded like ``shown`` does, so that a table, a page and a mail print the same
digits. Costs are in the row's ``unit``.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from harness.analysis.aa_check import AACheck
from harness.analysis.claims import Claim
from harness.analysis.costs import Cost
from harness.analysis.display.table import PLACES, Columns, Table, estimate_of, table_of
from harness.analysis.effects import Effect, Reduction
from harness.analysis.noise import Noise
from harness.analysis.processes import Arm, Place
from harness.analysis.published import published_percent
from harness.analysis.slopes import Slope
from harness.analysis.stats import Interval, Line

_T = TypeVar("_T")


def _cell(
    place: Callable[[_T], Place], arm: Callable[[_T], Arm]
) -> dict[str, Callable[[_T], object]]:
    return {
        "kernel": lambda each: place(each).words,
        "VMAs": lambda each: arm(each).vmas,
        "pages per VMA": lambda each: arm(each).vma_pages,
        "written pages per VMA": lambda each: arm(each).written_pages,
    }


def _slope(line: Line) -> Interval:
    return Interval(line.slope, line.low, line.high, 0, "")


_EFFECT: Columns[Effect] = {
    **_cell(lambda e: e.place, lambda e: e.arm),
    "metric": lambda e: e.metric,
    "store": lambda e: e.arm.store,
    "names": lambda e: e.arm.names,
    "unit": lambda e: e.place.unit,
    "cost unnamed": lambda e: round(e.unnamed.value, PLACES["cost unnamed"][0]),
    **estimate_of("extra per VMA", lambda e: e.extra),
    **estimate_of("extra percent", lambda e: e.percent),
    "boots": lambda e: e.percent.boots,
    "verdict": lambda e: e.judged.verdict.value,
    "trusted": lambda e: e.trusted,
}
_HELD = {True: "holds", False: "fails", None: "none"}
_COST: Columns[Cost] = {
    **_cell(lambda c: c.place, lambda c: c.arm),
    "metric": lambda c: c.metric,
    "store": lambda c: c.arm.store,
    "names": lambda c: c.arm.names,
    "unit": lambda c: c.place.unit,
    **estimate_of("cost", lambda c: c.total),
    **estimate_of("cost per VMA", lambda c: c.per_vma),
    "boots": lambda c: c.total.boots,
    "A/A check": lambda c: _HELD[c.alike],
}
_AA: Columns[AACheck] = {
    **_cell(lambda c: c.place, lambda c: c.arm),
    "metric": lambda c: c.metric,
    "store": lambda c: c.arm.store,
    "names": lambda c: c.arm.names,
    **estimate_of("difference percent", lambda c: c.percent),
    "boots": lambda c: c.percent.boots,
    "holds": lambda c: c.holds,
}
_SLOPE: Columns[Slope] = {
    "kernel": lambda s: s.place.words,
    "metric": lambda s: s.metric,
    "store": lambda s: s.arm,
    "names": lambda s: "none" if s.arm == "unnamed" else s.naming,
    "unit": lambda s: s.place.unit,
    **estimate_of("cost per VMA", lambda s: _slope(s.line)),
    "cost at 0 VMAs": lambda s: round(s.line.intercept, PLACES["cost at 0 VMAs"][0]),
    "straight line up to VMAs": lambda s: s.line.linear_to,
    "fewest VMAs": lambda s: min(s.counts),
    "most VMAs": lambda s: max(s.counts),
}
_PUBLISHED: Columns[Effect] = {
    "kernel": lambda e: e.place.words,
    "written pages per VMA": lambda e: e.arm.written_pages,
    "store": lambda e: e.arm.store,
    "names": lambda e: e.arm.names,
    "published percent": lambda e: published_percent(e.arm),
    **estimate_of("extra percent", lambda e: e.percent),
    "boots": lambda e: e.percent.boots,
}
_CLAIM: Columns[Claim] = {
    "claim": lambda c: c.claim,
    "kernel": lambda c: c.place.words,
    "published": lambda c: c.published_words,
    "measured": lambda c: c.measured_words,
    "verdict": lambda c: "" if c.verdict is None else c.verdict.value,
    "finding": lambda c: c.finding.value,
    "trusted": lambda c: c.trusted,
}
_REDUCTION: Columns[Reduction] = {
    **_cell(lambda r: r.place, lambda r: r.arm),
    "names": lambda r: r.arm.names,
    **estimate_of("times less", lambda r: r.times),
    "boots": lambda r: r.times.boots,
}


_NOISE: Columns[Noise] = {
    **_cell(lambda n: n.place, lambda n: n.arm),
    "metric": lambda n: n.metric,
    "store": lambda n: n.arm.store,
    "names": lambda n: n.arm.names,
    "unit": lambda n: n.place.unit,
    "samples": lambda n: n.samples,
    "median": lambda n: round(n.median, PLACES["median"][0]),
    "spread percent": lambda n: round(n.spread, PLACES["spread percent"][0]),
    "above median by 0.1 %": lambda n: n.above,
    "outliers": lambda n: n.outliers,
    "processes": lambda n: n.processes,
    "processes that drift": lambda n: n.drifting,
}


def effects_table(found: Sequence[Effect]) -> Table:
    """One row per named arm: the cost of its names per VMA, in percent, the verdict."""
    return table_of(
        found, _EFFECT, empty="No named process was measured beside an unnamed one."
    )


def costs_table(found: Sequence[Cost]) -> Table:
    """One row per arm: the cost of a metric, in total and per VMA."""
    return table_of(found, _COST, empty="Nothing was measured.")


def aa_table(checks: Sequence[AACheck]) -> Table:
    """One row per A/A check: the difference of two identical arms, in percent."""
    return table_of(
        checks, _AA,
        empty="No two identical processes were measured: no verdict can be trusted.",
    )  # fmt: skip


def slopes_table(found: Sequence[Slope]) -> Table:
    """One row per arm and naming: the cost per VMA, and up to which count it holds."""
    return table_of(
        found,
        _SLOPE,
        empty="A slope needs three numbers of VMAs without written pages.",
    )


def published_table(found: Sequence[Effect]) -> Table:
    """The six published cells beside the measured ones, in percent over unnamed.

    The figures of 2021 are percentages of time; the measured ones are percentages in
    the row's clock.
    """
    like = [
        e for e in found
        if e.metric == "fork" and published_percent(e.arm) is not None
    ]  # fmt: skip
    return table_of(
        like, _PUBLISHED, empty="None of the cells of 2021 was measured: 65,536 VMAs."
    )


def claims_table(claims: Sequence[Claim]) -> Table:
    """One row per claim and place: published and measured figure, and the finding."""
    return table_of(
        claims, _CLAIM, empty="No cell that the claims are about was measured."
    )


def reductions_table(found: Sequence[Reduction]) -> Table:
    """One row per cell: how many times less names cost shared than copied."""
    return table_of(
        found, _REDUCTION,
        empty="No kernel was measured with both stores, or sharing may cost nothing.",
    )  # fmt: skip


def distrust_table(warnings: Sequence[str]) -> Table:
    """One row per reason to distrust a campaign's numbers."""
    return table_of(
        warnings, {"what to distrust": str},
        empty="The records give no reason to distrust the numbers.",
    )  # fmt: skip


def noise_table(found: Sequence[Noise]) -> Table:
    """One row per cell: its samples, their spread, outliers and drift."""
    return table_of(found, _NOISE, empty="No valid sample was taken.")
