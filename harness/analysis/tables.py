"""Answers as DataFrames, for notebooks and reports: plain column names, with units.

Estimates are rounded as ``shown`` writes them, so that a table, a page and a mail
print the same digits.
"""

from collections.abc import Sequence

import pandas as pd

from harness.analysis.aa_check import AACheck
from harness.analysis.claims import Claim
from harness.analysis.costs import Cost
from harness.analysis.effects import Effect, Reduction
from harness.analysis.frames import usable
from harness.analysis.processes import LAYOUT, NAMING, PLACE, Arm, Place
from harness.analysis.published import published_percent
from harness.analysis.shown import AA_PERCENT, PER_VMA, PERCENT, TIMES, WHOLE
from harness.analysis.slopes import Slope
from harness.analysis.stats import Interval, drifts, outliers


def _cell(place: Place, arm: Arm) -> dict[str, object]:
    return {
        "kernel": place.words,
        "VMAs": arm.vmas,
        "pages per VMA": arm.vma_pages,
        "written pages per VMA": arm.written_pages,
    }


def _estimate(what: str, each: Interval, places: int) -> dict[str, object]:
    return {
        what: round(each.value, places),
        f"{what}, low": round(each.low, places),
        f"{what}, high": round(each.high, places),
    }


def effects_table(found: Sequence[Effect]) -> pd.DataFrame:
    """One row a named arm: what its names cost per VMA and in percent; the verdict."""
    return pd.DataFrame(
        {
            **_cell(e.place, e.arm),
            "metric": e.metric,
            "store": e.arm.store,
            "names": e.arm.names,
            "unit": e.place.unit,
            "unnamed": round(e.unnamed.value, WHOLE),
            **_estimate("extra per VMA", e.extra, PER_VMA),
            **_estimate("extra percent", e.percent, PERCENT),
            "boots": e.percent.boots,
            "verdict": e.judged.verdict.value,
            "trusted": e.trusted,
        }
        for e in found
    )


def costs_table(found: Sequence[Cost]) -> pd.DataFrame:
    """One row an arm: what a metric costs in it, in whole and per VMA."""
    return pd.DataFrame(
        {
            **_cell(c.place, c.arm),
            "metric": c.metric,
            "store": c.arm.store,
            "names": c.arm.names,
            "unit": c.place.unit,
            **_estimate("whole", c.total, WHOLE),
            **_estimate("per VMA", c.per_vma, PER_VMA),
            "boots": c.total.boots,
            "trusted": c.trusted,
        }
        for c in found
    )


def aa_table(checks: Sequence[AACheck]) -> pd.DataFrame:
    """One row an A/A check: how far two identical arms lie apart, in percent."""
    return pd.DataFrame(
        {
            **_cell(c.place, c.arm),
            "metric": c.metric,
            "names": c.arm.names,
            **_estimate("difference percent", c.percent, AA_PERCENT),
            "boots": c.percent.boots,
            "holds": c.holds,
        }
        for c in checks
    )


def slopes_table(found: Sequence[Slope]) -> pd.DataFrame:
    """One row an arm and its names: what one VMA more costs, and up to how many."""
    return pd.DataFrame(
        {
            "kernel": s.place.words,
            "metric": s.metric,
            "store": s.arm,
            "names": "none" if s.arm == "unnamed" else s.naming,
            "unit": s.place.unit,
            "cost per VMA": round(s.line.slope, PER_VMA),
            "cost per VMA, low": round(s.line.low, PER_VMA),
            "cost per VMA, high": round(s.line.high, PER_VMA),
            "cost at 0 VMAs": round(s.line.intercept, WHOLE),
            "straight up to VMAs": s.line.linear_to,
            "smallest VMAs": min(s.counts),
            "largest VMAs": max(s.counts),
        }
        for s in found
    )


def published_table(found: Sequence[Effect]) -> pd.DataFrame:
    """The six published cells beside those measured, in percent over unnamed."""
    return pd.DataFrame(
        {
            "kernel": e.place.words,
            "written pages per VMA": e.arm.written_pages,
            "store": e.arm.store,
            "names": e.arm.names,
            "published 2021, percent of milliseconds": published_percent(e.arm),
            f"measured, percent of {e.place.unit}": round(e.percent.value, PERCENT),
            "low": round(e.percent.low, PERCENT),
            "high": round(e.percent.high, PERCENT),
        }
        for e in found
        if e.metric == "fork" and published_percent(e.arm) is not None
    )


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """One row a claim and place: published, measured, and what that makes of it."""
    return pd.DataFrame(
        {
            "claim": c.claim,
            "kernel": c.place.words,
            "published": c.published_words,
            "measured": c.measured_words,
            "beyond the margin": "" if c.verdict is None else c.verdict.value,
            "finding": c.finding.value,
            "trusted": c.trusted,
        }
        for c in claims
    )


def reductions_table(found: Sequence[Reduction]) -> pd.DataFrame:
    """One row a cell: how many times less names cost shared than copied."""
    return pd.DataFrame(
        {
            **_cell(r.place, r.arm),
            "names": r.arm.names,
            **_estimate("times less", r.times, TIMES),
            "boots": r.times.boots,
        }
        for r in found
    )


def noise_table(frame: pd.DataFrame, metric: str = "fork") -> pd.DataFrame:
    """One row a cell: its samples, their spread, and what is unusual about them.

    "above median by 0.1 %" counts samples of which the cell's median is exceeded by
    0.1 % or more: on the instruction clock, those that a timer tick hit. Processes
    that drift are those whose samples go up or down in the order they were taken.
    """
    samples = usable(frame, metric)
    cell = [*PLACE, *LAYOUT, *NAMING]
    rows = []
    for key, group in samples.groupby(cell):
        values = group["value"]
        middle = values.median()
        runs = group.sort_values("order").groupby("run")["value"]
        rows.append(
            {
                **dict(zip(cell, key, strict=True)),
                "samples": len(values),
                "median": middle,
                "spread, percent": round((values.max() / values.min() - 1) * 100, 4),
                "above median by 0.1 %": int((values > middle * 1.001).sum()),
                "outliers": outliers(values.to_numpy(dtype=float)),
                "processes": len(runs),
                "processes that drift": sum(
                    drifts(run.to_numpy(dtype=float)) for _, run in runs
                ),
            }
        )
    return pd.DataFrame(rows)
