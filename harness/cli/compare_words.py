"""What every format of compare says in words: trust, counts, what is missing."""

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
    "default": "the default, as there is no plan",
}  # fmt: skip
# No more cells than that are named in a table for people; JSON has all.
_MOST_NAMED = 200
# A hash is known by its first digits.
_DIGEST, _DIGITS = re.compile(r"[0-9a-f]{32,64}"), 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A comparison as it is printed.

    ``margin_from`` is plan, given or default; ``outcomes`` what keeps it from
    passing, in words; ``status`` the exit status.
    """

    comparison: Comparison
    margin_from: str
    status: int
    outcomes: tuple[str, ...]
    missing_allowed: bool


def margin_words(said: Said) -> str:
    """The margin, and whose it is."""
    return f"margin: {said.comparison.margin:g} %, {_MARGIN_FROM[said.margin_from]}"


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
        why = f"{doubted} cells have no two identical arms with {comparison.metric}"
    return f"A/A check: {why}: {what} BE TRUSTED"


def counts_of(comparison: Comparison) -> dict[str, int]:
    """How many cells have which verdict, are not trusted, missing or short of boots."""
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


def result_words(said: Said) -> str:
    """The last line: what came of how many cells, and the exit status."""
    counts = counts_of(said.comparison)
    parts = [f"{counts.pop('cells')} cells compared"]
    parts += [
        f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count
    ]
    why = ", ".join(said.outcomes)
    if said.missing_allowed and "missing" in said.outcomes:
        why += " (--allow-missing)"
    return f"{', '.join(parts)}; exit status {said.status}" + (
        f": {why}" if why else ""
    )


def verdict_words(cell: Compared) -> str:
    """The verdict, what more it takes, and whether it is to be trusted."""
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
    """What is missing, and which cells have fewer boots: one line each."""
    # Where there is one place only, its table says which.
    wheres = {cell.where for cell in comparison.cells}
    wheres |= {each.where for each in comparison.missing if each.where}
    wheres |= {each.where for each in comparison.fewer_boots}
    told = len(wheres) > 1 or not comparison.cells
    lines = [_missing(each, told) for each in comparison.missing]
    lines += [_fewer(each, told) for each in comparison.fewer_boots]
    if (more := len(lines) - _MOST_NAMED) > 0:
        lines[_MOST_NAMED:] = [f"and {more} more: --format json names all"]
    return lines


def _short(value: str) -> str:
    return value[:_DIGITS] if _DIGEST.fullmatch(value) else value


def _missing(each: Missing, told: bool) -> str:
    where = f" ({each.where})" if told and each.where else ""
    return f"missing, {each.side}: {each.metric}, {each.cell}{where}: {each.why}"


def _fewer(each: FewerBoots, told: bool) -> str:
    where = f" ({each.where})" if told else ""
    have = f"{each.boots} boots"
    expected = f"{each.expected_boots}"
    if each.boots >= each.expected_boots:
        have, expected = f"{each.blocks} blocks", f"{each.expected_blocks}"
    by = "its plan has" if each.by == "plan" else "the other side has"
    return (
        f"fewer boots, {each.side}: {each.metric}, {each.cell}{where}: {have}, "
        f"{by} {expected}"
    )
