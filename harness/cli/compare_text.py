"""compare's formats for people: text, markdown, and the layout of linux-mm.

Analysis takes a second to import, so functions import its modules when they run.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from harness.cli.compare_words import (
    PrintedComparison,
    differing_words,
    margin_words,
    missing_words,
    result_words,
    trust_words,
    verdict_words,
)
from harness.cli.output import stdout_console
from harness.host.programs import printable

if TYPE_CHECKING:
    from harness.analysis.comparison.result import Compared, Comparison

_NOTE = (
    "equivalent: within the margin; regressed, improved: beyond it; corrected for the "
    "number of cells (Holm)"
)


def print_text(printed: PrintedComparison) -> None:
    """Print one table for each place."""
    from harness.analysis.display.formats import bounds

    comparison = printed.comparison
    console = stdout_console()

    def line(text: str) -> None:
        console.print(printable(text), soft_wrap=True)

    line(trust_words(comparison))
    for words in differing_words(comparison):
        line(f"differs: {words}")
    for where in dict.fromkeys(cell.where for cell in comparison.cells):
        here = [cell for cell in comparison.cells if cell.where == where]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in _columns(comparison):
            right = column not in ("cell", "verdict")
            table.add_column(column, justify="right" if right else "left")
        for cell in here:
            table.add_row(*map(printable, _row(cell)))
        estimates = [each for c in here for each in (c.first, c.second, c.change)]
        console.print()
        line(f"{_title(comparison, here[0])}; []: {bounds(estimates)}")
        console.print(table)
    for words in missing_words(comparison):
        line(words)
    line(f"{margin_words(printed)}; {_NOTE}")
    line(result_words(printed))


def print_markdown(printed: PrintedComparison) -> None:
    """Print one table, and a list of the cells that are missing."""
    comparison = printed.comparison
    print(f"{trust_words(comparison)}; {margin_words(printed)}", end="\n\n")
    columns = _columns(comparison)
    sides = ["---" if c in ("cell", "verdict") else "---:" for c in columns]
    print(f"| {' | '.join(columns)} |")
    print(f"| {' | '.join(sides)} |")
    for cell in comparison.cells:
        name, *others = _row(cell)
        print(f"| {' | '.join((_plain_markdown(printable(name)), *others))} |")
    print()
    for words in differing_words(comparison):
        print(f"* differs: {_plain_markdown(printable(words))}")
    for words in missing_words(comparison):
        print(f"* {_plain_markdown(printable(words))}")
    print(f"\n{result_words(printed)}")


def print_mm(printed: PrintedComparison) -> None:
    """Print the layout that reports to linux-mm use."""
    comparison = printed.comparison
    print(f"{'first':>18}{'':22}{'second':>14}")
    print(f"{'----------------':>18}{'':20}{'----------------':>16}")
    print(f"{'%stddev':>18}{'%change':>16}{'%stddev':>20}")
    for cell in comparison.cells:
        first = _mm(cell, cell.first.value, cell.spreads[0])
        second = _mm(cell, cell.second.value, cell.spreads[1])
        per = "" if cell.difference is None else " extra per VMA"
        what = printable(f"{cell.metric}.{cell.unit}{per}: {cell.cell}")
        if not cell.trusted:
            what += " (not trusted)"
        print(f"{first:>18}{cell.change.value:>+15.2f}%{second:>20}  {what}")
    for words in missing_words(comparison):
        print(printable(words))
    if any(cell.difference is not None for cell in comparison.cells):
        print(
            "%change: how much more names add, in percent of the first's unnamed call"
        )
    print(f"{trust_words(comparison)}; {margin_words(printed)}")
    print(result_words(printed))


def _columns(comparison: Comparison) -> tuple[str, ...]:
    from harness.analysis.comparison.result import Form

    if comparison.form is not Form.EFFECTS:
        return ("cell", "first", "second", "change, %", "verdict")
    return (
        "cell", "first: extra per VMA", "second: extra per VMA", "difference per VMA",
        "% of first's unnamed call", "verdict",
    )  # fmt: skip


def _row(cell: Compared) -> tuple[str, ...]:
    from harness.analysis.display.formats import WHOLE, per_vma, percent, shown

    ends = percent(cell.change), verdict_words(cell)
    if cell.difference is not None:
        sides = map(per_vma, (cell.first, cell.second, cell.difference))
        return cell.cell, *sides, *ends
    first, second = (shown(e, WHOLE, sign=False) for e in (cell.first, cell.second))
    return cell.cell, first, second, *ends


def _title(comparison: Comparison, cell: Compared) -> str:
    return f"{comparison.form.value}: {cell.metric}, {cell.unit}: {cell.where}"


def _plain_markdown(word: str) -> str:
    """The word with Markdown's special characters escaped."""
    return re.sub(r"([\\|`<&\[\]*_])", r"\\\1", word)


def _mm(cell: Compared, value: float, spread: float) -> str:
    # This layout has its own number format: no interval, no separators.
    places = 0 if cell.difference is None else 1
    if math.isnan(spread) or not value:
        return f"{value:.{places}f}       "
    return f"{value:.{places}f} ±{abs(spread / value) * 100:4.1f}%"
