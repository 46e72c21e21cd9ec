"""The words that every format of compare prints: trust, counts, missing cells."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.analysis.comparison.missing import FewerBoots, Missing
    from harness.analysis.comparison.result import Compared, Comparison

_MARGIN_FROM = {
    "given": "given with --margin", "plan": "chosen beforehand, in the plan",
    "default": "the default, because there is no plan",
}  # fmt: skip
# The formats for people name at most this many missing cells; JSON names all.
_MOST_NAMED = 200
# Hashes are shortened to their first digits.
_DIGEST, _DIGITS = re.compile(r"[0-9a-f]{32,64}"), 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedComparison:
    """A comparison, with what its printed form adds.

    ``margin_from`` is plan, given or default. ``outcomes`` are the words for what
    keeps it from passing; ``status`` is the exit status.
    """

    comparison: Comparison
    margin_from: str
    status: int
    outcomes: tuple[str, ...]
    missing_allowed: bool


def margin_words(printed: PrintedComparison) -> str:
    """The margin, and where it comes from."""
    return (
        f"margin: {printed.comparison.margin:g} %, {_MARGIN_FROM[printed.margin_from]}"
    )


def trust_words(comparison: Comparison) -> str:
    """Whether the A/A checks of the compared cells hold."""
    if not comparison.cells:
        return "A/A check: nothing was compared"
    if comparison.trusted:
        return f"A/A check: {comparison.checks} pairs of identical arms, all alike"
    doubted = sum(not cell.trusted for cell in comparison.cells)
    every = doubted == len(comparison.cells)
    what = "NO VERDICT BELOW CAN" if every else f"{doubted} VERDICTS BELOW CANNOT"
    if comparison.checks_failed:
        why = (
            f"{comparison.checks_failed} of {comparison.checks} pairs of identical "
            "arms differ"
        )
    else:
        why = f"{doubted} cells have no pair of identical arms with {comparison.metric}"
    return f"A/A check: {why}: {what} BE TRUSTED"


def counts_of(comparison: Comparison) -> dict[str, int]:
    """Numbers of cells: per verdict, untrusted, missing, and with fewer boots."""
    verdicts = Counter(cell.judged.verdict.value for cell in comparison.cells)
    return {
        "cells": len(comparison.cells),
        **{
            verdict: verdicts[verdict]
            for verdict in ("regressed", "improved", "equivalent", "inconclusive")
        },
        "untrusted": sum(not cell.trusted for cell in comparison.cells),
        "missing": len(comparison.missing),
        "fewer_boots": len(comparison.fewer_boots),
    }


def result_words(printed: PrintedComparison) -> str:
    """The last line: how many cells had which result, and the exit status."""
    counts = counts_of(printed.comparison)
    parts = [f"{counts.pop('cells')} cells compared"]
    parts += [
        f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count
    ]
    why = ", ".join(printed.outcomes)
    if printed.missing_allowed and "missing" in printed.outcomes:
        why += " (--allow-missing)"
    return f"{', '.join(parts)}; exit status {printed.status}" + (
        f": {why}" if why else ""
    )


def verdict_words(cell: Compared) -> str:
    """The verdict, how many more boots it needs, and whether it is trusted."""
    judged = cell.judged
    words = judged.verdict.value
    if judged.more_boots:
        words += f": {judged.more_boots} more boots"
    if judged.before:
        words += f" ({judged.before.value} before Holm)"
    return words if cell.trusted else f"{words}, not trusted"


def differing_words(comparison: Comparison) -> list[str]:
    """The facts that differ, one line each."""
    return [
        f"{d.fact}: {_short(d.first)} (first), {_short(d.second)} (second)"
        for d in comparison.differing
    ]


def missing_words(comparison: Comparison) -> list[str]:
    """The cells that are missing or have fewer boots: one line each."""
    # With a single place, the title of its table names it already.
    wheres = {cell.where for cell in comparison.cells}
    wheres |= {each.where for each in comparison.missing if each.where}
    wheres |= {each.where for each in comparison.fewer_boots}
    show_where = len(wheres) > 1 or not comparison.cells
    lines = [_missing(each, show_where=show_where) for each in comparison.missing]
    lines += [_fewer(each, show_where=show_where) for each in comparison.fewer_boots]
    if (more := len(lines) - _MOST_NAMED) > 0:
        lines[_MOST_NAMED:] = [f"and {more} more: --format json lists all"]
    return lines


def _short(value: str) -> str:
    return value[:_DIGITS] if _DIGEST.fullmatch(value) else value


def _missing(each: Missing, *, show_where: bool) -> str:
    where = f" ({each.where})" if show_where and each.where else ""
    return f"missing, {each.side}: {each.metric}, {each.cell}{where}: {each.why}"


def _fewer(each: FewerBoots, *, show_where: bool) -> str:
    where = f" ({each.where})" if show_where else ""
    have = f"{each.boots} boots"
    expected = f"{each.expected_boots}"
    if each.boots >= each.expected_boots:
        have, expected = f"{each.blocks} blocks", f"{each.expected_blocks}"
    by = "its plan has" if each.by == "plan" else "the other side has"
    return (
        f"fewer boots, {each.side}: {each.metric}, {each.cell}{where}: {have}, "
        f"{by} {expected}"
    )
