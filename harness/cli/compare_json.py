"""compare's JSON format, for programs; the guide reading-results documents its keys."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.cli.compare_words import PrintedComparison, counts_of

if TYPE_CHECKING:
    from harness.analysis.comparison.result import Compared
    from harness.analysis.stats import Interval

# SCHEMA history
#   1  first format
#   2  missing cells, fewer boots, trust of each cell, effects; sides are estimates
SCHEMA = "anonvma-compare/2"


def print_json(printed: PrintedComparison) -> None:
    """One document on standard output."""
    comparison = printed.comparison
    document = {
        "schema": SCHEMA,
        "form": comparison.form.name.lower(),
        "metric": comparison.metric,
        "margin_percent": comparison.margin,
        "margin_from": printed.margin_from,
        "status": int(printed.status),
        "statuses": list(printed.outcomes),
        "missing_allowed": printed.missing_allowed,
        "trusted": comparison.trusted,
        "regressed": comparison.regressed,
        "complete": comparison.complete,
        "counts": counts_of(comparison),
        "aa_checks": {
            "count": comparison.checks, "failed": comparison.checks_failed,
        },
        "differing": [asdict(each) for each in comparison.differing],
        "cells": [_cell(cell) for cell in comparison.cells],
        "missing": [asdict(each) for each in comparison.missing],
        "fewer_boots": [asdict(each) for each in comparison.fewer_boots],
    }  # fmt: skip
    print(json.dumps(document, indent=1, allow_nan=False))


# Any: values that json can write.
def _cell(cell: Compared) -> dict[str, Any]:
    before = cell.judged.before
    per_vma = cell.difference
    return {
        "metric": cell.metric, "unit": cell.unit, "where": cell.where,
        "cell": cell.cell,
        "first": _side(cell.first, cell.spreads[0]),
        "second": _side(cell.second, cell.spreads[1]),
        "difference_per_vma": None if per_vma is None else _estimate(per_vma),
        "change_percent": _estimate(cell.change),
        "verdict": cell.judged.verdict.value, "p": cell.judged.p,
        "more_boots": cell.judged.more_boots,
        "before_correction": None if before is None else before.value,
        "trusted": cell.trusted,
    }  # fmt: skip


def _side(estimate: Interval, spread: float) -> dict[str, Any]:
    return {
        **_estimate(estimate), "boots": estimate.boots,
        "stddev": spread if math.isfinite(spread) else None,
    }  # fmt: skip


def _estimate(estimate: Interval) -> dict[str, Any]:
    return {
        "value": estimate.value, "low": estimate.low, "high": estimate.high,
        "interval": estimate.kind,
    }  # fmt: skip
