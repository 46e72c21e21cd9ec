"""anonvma compare: cells side by side, for people, for lists and for CI."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from harness.cli.places import find_campaign
from harness.cli.requests import CompareRequest
from harness.cli.tables import stdout_console
from harness.errors import UsageError
from harness.programs import printable

if TYPE_CHECKING:
    from harness.analysis.compare import Compared, Comparison

WITHIN, REGRESSED = 0, 1
SCHEMA = "anonvma-compare/1"


def compare(request: CompareRequest) -> int:
    """Print the comparison; 1 when a cell regressed, or verdicts cannot be trusted."""
    # pandas and scipy take seconds to import: only what needs them waits.
    from harness.analysis.compare import compare_arms, compare_campaigns, load_kernel

    given = (
        [request.first] if request.second is None else [request.first, request.second]
    )
    places = [find_campaign(path, request.results) for path in given]
    variants = request.variants or (None,)
    first = load_kernel(places[0], variants[0])
    if request.second is None and len(variants) == 1:
        margin, whose = _margin(request, places)
        comparison = compare_arms(first, margin=margin, metric=request.metric)
    else:
        second = load_kernel(places[-1], variants[-1])
        margin, whose = _margin(request, places)
        comparison = compare_campaigns(
            first, second, margin=margin, metric=request.metric
        )
    _PRINT[request.format](comparison, whose)
    return WITHIN if comparison.trusted and not comparison.regressed else REGRESSED


def _margin(request: CompareRequest, places: list[Path]) -> tuple[float, str]:
    """The margin, and whose it is: given, of the plan, or the default."""
    from harness.analysis.identity import DEFAULT_MARGIN, margin_of

    if request.margin is not None:
        return request.margin, "given"
    told = {margin for path in places if (margin := margin_of(path)) is not None}
    if len(told) > 1:
        both = " and ".join(f"{margin:g} %" for margin in sorted(told))
        raise UsageError(
            f"the plans of the two have other margins, {both}: give --margin"
        )
    return (told.pop(), "plan") if told else (DEFAULT_MARGIN, "default")


_WHOSE = {
    "given": "given with --margin", "plan": "chosen beforehand, in the plan",
    "default": "the default, as there is no plan",
}  # fmt: skip


def _margin_words(comparison: Comparison, whose: str) -> str:
    return f"margin: {comparison.margin:g} %, {_WHOSE[whose]}"


def _trust(comparison: Comparison) -> str:
    if comparison.trusted:
        return f"A/A: {comparison.nulls} pairs of identical arms, all alike"
    if not comparison.nulls:
        metric = comparison.cells[0].metric
        return (
            f"A/A: no two identical unnamed processes have {metric}: NO VERDICT BELOW "
            "CAN BE TRUSTED"
        )
    return (
        f"A/A: {comparison.nulls_failed} of {comparison.nulls} pairs of identical arms "
        "differ: NO VERDICT BELOW CAN BE TRUSTED"
    )


def _rows(comparison: Comparison) -> list[tuple[str, ...]]:
    return [
        (
            printable(c.cell),
            _side(c.first, c.first_spread),
            f"{c.change.value:+.2f}% [{c.change.low:.2f}, {c.change.high:.2f}]",
            _side(c.second, c.second_spread),
            _verdict(c),
        )
        for c in comparison.cells
    ]


def _bounds(cells: list[Compared]) -> str:
    kinds = {c.change.kind for c in cells}
    if kinds == {"range"}:
        return "range of the boots"
    few = ", of few boots their range" if "range" in kinds else ""
    return f"95 % interval over boots{few}"


def _side(value: float, spread: float) -> str:
    return f"{value:,.0f}" + ("" if math.isnan(spread) else f" ±{spread:.2f}%")


def _verdict(cell: Compared) -> str:
    judged = cell.judged
    words = judged.verdict.value
    if judged.more_boots:
        words += f": {judged.more_boots} more boots"
    if judged.before:
        words += f" ({judged.before.value} before Holm)"
    return words


_COLUMNS = ("cell", "first", "change", "second", "verdict")


def _print_text(comparison: Comparison, whose: str) -> None:
    console = stdout_console()
    console.print(_trust(comparison), soft_wrap=True)
    for where in dict.fromkeys(cell.where for cell in comparison.cells):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in _COLUMNS:
            justify = "right" if column in ("first", "change", "second") else "left"
            table.add_column(column, justify=justify)  # type: ignore[arg-type]
        for cell, row in zip(comparison.cells, _rows(comparison), strict=True):
            if cell.where == where:
                table.add_row(*row)
        here = [c for c in comparison.cells if c.where == where]
        title = f"{here[0].metric}, {here[0].unit}: {printable(where)}"
        console.print(f"{title}; []: {_bounds(here)}", soft_wrap=True)
        console.print(table)
    console.print(
        f"{_margin_words(comparison, whose)}; equivalent: within it, regressed or "
        "improved: beyond it; corrected for the number of cells (Holm)",
        soft_wrap=True,
    )


def _print_markdown(comparison: Comparison, whose: str) -> None:
    print(f"{_trust(comparison)}; {_margin_words(comparison, whose)}", end="\n\n")
    print(f"| {' | '.join(_COLUMNS)} |")
    print("| --- | ---: | ---: | ---: | --- |")
    for row in _rows(comparison):
        print(f"| {' | '.join((_plain_markdown(row[0]), *row[1:]))} |")


def _plain_markdown(word: str) -> str:
    """A cell that is shown as it is: no link, no HTML, no other column."""
    return re.sub(r"([\\|`<&\[\]*_])", r"\\\1", word)


def _print_mm(comparison: Comparison, whose: str) -> None:
    """The layout that reports to linux-mm are read in."""
    print(f"{'first':>18}{'':22}{'second':>14}")
    print(f"{'----------------':>18}{'':20}{'----------------':>16}")
    print(f"{'%stddev':>18}{'%change':>16}{'%stddev':>20}")
    for c in comparison.cells:
        first, second = _mm(c.first, c.first_spread), _mm(c.second, c.second_spread)
        what = printable(f"{c.metric}.{c.unit}: {c.cell}")
        print(f"{first:>18}{c.change.value:>+15.2f}%{second:>20}  {what}")
    print(f"{_trust(comparison)}; {_margin_words(comparison, whose)}")


def _mm(value: float, spread: float) -> str:
    return f"{value:.0f}" + ("       " if math.isnan(spread) else f" ±{spread:4.1f}%")


def _print_json(comparison: Comparison, whose: str) -> None:
    document = {
        "schema": SCHEMA,
        "margin_percent": comparison.margin,
        "margin_from": whose,
        "trusted": comparison.trusted,
        "nulls": comparison.nulls,
        "nulls_failed": comparison.nulls_failed,
        "regressed": comparison.regressed,
        "cells": [_json_cell(cell) for cell in comparison.cells],
    }
    print(json.dumps(document, indent=1, allow_nan=False))


def _json_cell(c: Compared) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    before = c.judged.before
    return {
        "metric": c.metric, "unit": c.unit, "where": c.where, "cell": c.cell,
        "first": {"mean": c.first, "stddev_percent": number(c.first_spread),
                  "boots": c.first_boots},
        "second": {"mean": c.second, "stddev_percent": number(c.second_spread),
                   "boots": c.second_boots},
        "change_percent": {"value": c.change.value, "low": c.change.low,
                           "high": c.change.high, "interval": c.change.kind},
        "verdict": c.judged.verdict.value, "p": c.judged.p,
        "more_boots": c.judged.more_boots,
        "before_correction": None if before is None else before.value,
    }  # fmt: skip


_PRINT = {
    "text": _print_text, "markdown": _print_markdown, "mm": _print_mm,
    "json": _print_json,
}  # fmt: skip
