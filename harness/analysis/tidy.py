"""Answers as DataFrames, for notebooks and reports."""

from collections.abc import Sequence

import pandas as pd

from harness.analysis.answers import Answer, Null, Slope
from harness.analysis.effects import PUBLISHED_PERCENT, PUBLISHED_VMAS
from harness.analysis.frames import usable
from harness.analysis.processes import LAYOUT, NAMING, PLACE
from harness.analysis.stats import drifts, outliers


def answers_table(found: Sequence[Answer]) -> pd.DataFrame:
    """One row a cell: what its names cost a VMA and in percent, and the verdict."""
    return pd.DataFrame(
        {
            "where": a.place.words,
            "VMAs": a.vmas,
            "pages": a.written_pages,
            "of": a.vma_pages,
            "store": a.store,
            "names": f"{a.naming}:{a.name_length}",
            "unit": a.place.unit,
            "extra a VMA": round(a.extra.value, 2),
            "from": round(a.extra.low, 2),
            "to": round(a.extra.high, 2),
            "percent": round(a.percent.value, 3),
            "percent from": round(a.percent.low, 3),
            "percent to": round(a.percent.high, 3),
            "boots": a.percent.boots,
            "verdict": a.judged.verdict.value,
            "trusted": a.trusted,
        }
        for a in found
    )


def nulls_table(nulls: Sequence[Null]) -> pd.DataFrame:
    """One row a layout: how far two identical arms lie apart."""
    return pd.DataFrame(
        {
            "where": n.place.words,
            "VMAs": n.vmas,
            "pages": n.written_pages,
            "of": n.vma_pages,
            "percent": round(n.percent.value, 4),
            "from": round(n.percent.low, 4),
            "to": round(n.percent.high, 4),
            "boots": n.percent.boots,
            "holds": n.holds,
        }
        for n in nulls
    )


def slopes_table(found: Sequence[Slope]) -> pd.DataFrame:
    """One row an arm and its names: what a VMA more costs, up to where that is so."""
    return pd.DataFrame(
        {
            "where": s.place.words,
            "arm": s.arm,
            "names": "" if s.arm == "unnamed" else s.naming,
            "a VMA": round(s.line.slope, 1),
            "from": round(s.line.low, 1),
            "to": round(s.line.high, 1),
            "without VMAs": round(s.line.intercept),
            "linear to": s.line.linear_to,
            "VMAs": f"{min(s.counts)} to {max(s.counts)}",
        }
        for s in found
    )


def published_table(found: Sequence[Answer]) -> pd.DataFrame:
    """The six published cells beside those measured, in percent over unnamed."""
    return pd.DataFrame(
        {
            "where": a.place.words,
            "pages": a.written_pages,
            "of": a.vma_pages,
            "store": a.store,
            "names": f"{a.naming}:{a.name_length}",
            "2021, percent": PUBLISHED_PERCENT[a.written_pages][a.store],
            "measured, percent": round(a.percent.value, 2),
            "from": round(a.percent.low, 2),
            "to": round(a.percent.high, 2),
        }
        for a in found
        if a.vmas == PUBLISHED_VMAS
        and a.store in PUBLISHED_PERCENT.get(a.written_pages, {})
    )


def noise_table(frame: pd.DataFrame, metric: str = "fork") -> pd.DataFrame:
    """One row a cell: its samples, their spread, and what is odd about them.

    ``beyond`` counts samples of which the cell's median is exceeded by 0.1 % or
    more: on the instruction clock, those that a timer tick hit. Processes that
    drift are those whose samples go up or down in the order they were taken.
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
                "beyond 0.1 %": int((values > middle * 1.001).sum()),
                "outliers": outliers(values.to_numpy(dtype=float)),
                "processes": len(runs),
                "that drift": sum(drifts(run.to_numpy(dtype=float)) for _, run in runs),
            }
        )
    return pd.DataFrame(rows)
