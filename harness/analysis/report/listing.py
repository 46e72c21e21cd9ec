"""Tables as text, for the page and the mail: a cell has an estimate and its interval.

There is one table per kernel, machine and clock. Facts that all rows share are shown
once, above the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from harness.analysis.aa_check import AACheck
from harness.analysis.claims import Claim
from harness.analysis.costs import Cost
from harness.analysis.display.formats import (
    AA_PERCENT,
    PER_VMA,
    PERCENT,
    WHOLE,
    per_vma,
    percent,
    shown,
)
from harness.analysis.effects import Effect
from harness.analysis.noise import cell_noise
from harness.analysis.plots.style import cut
from harness.analysis.processes import Arm, Place, time_first
from harness.analysis.published import published_percent
from harness.analysis.report.by_metric import ByMetric
from harness.analysis.slopes import Slope
from harness.analysis.stats import Judged

_T = TypeVar("_T", Effect, Cost, AACheck, Slope, Claim)
_Rows = Sequence[Mapping[str, str]]
# Columns of facts, which are shown above the table if all rows share the value. Other
# columns have estimates, counts or verdicts and always stay in the table.
_FACTS = ("kernel", "VMAs", "pages", "names", "store", "boots", "A/A")
# Columns of words, which are left-aligned.
_WORDS = (
    "kernel", "names", "store", "verdict", "A/A", "claim", "published", "measured",
    "in the cell", "finding", "against the margin",
)  # fmt: skip
# Texts from records are cut to this length, to leave room for numbers.
_LONGEST = 40
# Columns whose cells may have more than a word or two.
_LONG = (
    "verdict", "claim", "published", "measured", "in the cell", "finding",
    "against the margin",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A table: its place, the facts that all rows share, columns and rows."""

    place: str
    shared: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def above(self) -> str:
        """The line above the table."""
        facts = [f"{name}: {value}" for name, value in self.shared]
        return "; ".join(filter(None, (self.place, *facts)))

    def is_words(self, column: str) -> bool:
        """Whether a column has words instead of numbers."""
        return column in _WORDS

    def wraps(self, column: str) -> bool:
        """Whether a column's cells may need several lines."""
        return column in _LONG


def effects_listings(metric: ByMetric, *, short: bool = False) -> list[Listing]:
    """What names cost in a metric; the short form is for a mail."""
    listings = []
    for place, effects in _by_place(metric.effects):
        rows = []
        for e in effects:
            row = _cell(e.arm)
            if not short:
                row |= {
                    f"unnamed, {place.unit}": shown(e.unnamed, WHOLE, sign=False),
                    f"extra per VMA, {place.unit}": per_vma(e.extra),
                }
            row |= {"extra, %": percent(e.percent)}
            if not short:
                row |= {"verdict": _verdict(e.judged)}
            row |= {
                "boots": str(e.percent.boots),
                "A/A": metric.check_words(place, e.arm),
            }
            rows.append(row)
        listings.append(_listing(place.words, rows))
    return listings


def costs_listings(metric: ByMetric, *, short: bool = False) -> list[Listing]:
    """The whole cost of a metric, if there is no unnamed arm to subtract.

    The kernels of a machine share a table, because they are compared.
    """
    machines: dict[tuple[str, str], list[Cost]] = {}
    for place, costs in _by_place(metric.costs):
        where = f"{place.target} {place.machine} ({place.accelerator}), {place.unit}"
        machines.setdefault((where, place.unit), []).extend(costs)
    listings = []
    for (where, unit), costs in machines.items():
        rows = []
        for c in sorted(costs, key=lambda c: (c.arm.vmas, c.arm.layout)):
            kernel = f"linux {c.place.base} {c.place.variant}"
            row = {"kernel": cut(kernel, _LONGEST)} | _cell(c.arm)
            if not short:
                row |= {f"whole, {unit}": shown(c.total, WHOLE, sign=False)}
            row |= {
                f"per VMA, {unit}": shown(c.per_vma, PER_VMA, sign=False),
                "boots": str(c.total.boots),
                "A/A": metric.check_words(c.place, c.arm),
            }
            rows.append(row)
        listings.append(_listing(where, rows))
    return listings


def checks_listings(checks: Sequence[AACheck]) -> list[Listing]:
    """The differences of identical arms."""
    return [
        _listing(
            place.words,
            [
                (_cell(c.arm) if c.arm.named else _layout(c.arm))
                | {
                    "difference, %": shown(c.percent, AA_PERCENT),
                    "boots": str(c.percent.boots),
                    "A/A": "holds" if c.holds else "differs",
                }
                for c in here
            ],
        )
        for place, here in _by_place(checks)
    ]


def claims_listings(claims: Sequence[Claim]) -> list[Listing]:
    """The claims of 2021, with what each place measured."""
    listings = []
    for place, here in _by_place(claims):
        rows = [
            {
                "claim": c.claim,
                "published": c.published_words,
                "measured": f"{c.measured_words}{' of insns' * place.exact}",
                "in the cell": c.arm.words,
                "against the margin": "" if c.verdict is None else c.verdict.value,
                "finding": c.finding.value,
                "A/A": "holds" if c.trusted else "differs",
            }
            for c in here
        ]
        listings.append(_listing(place.words, rows))
    return listings


def published_listings(found: Sequence[Effect]) -> list[Listing]:
    """The six cells of 2021 beside the measured ones."""
    ours = [e for e in found if published_percent(e.arm) is not None]
    return [
        _listing(
            place.words,
            [
                _cell(e.arm)
                | {
                    "published, % of time": f"{published_percent(e.arm):+.{PERCENT}f}",
                    f"measured, % of {place.unit}": percent(e.percent),
                    "A/A": "holds" if e.trusted else "differs",
                }
                for e in here
            ],
        )
        for place, here in _by_place(ours)
    ]


def slopes_listings(found: Sequence[Slope]) -> list[Listing]:
    """The cost of each additional VMA."""
    return [
        _listing(
            place.words,
            [
                {
                    "names": "none" if s.arm == "unnamed" else f"{s.arm} {s.naming}",
                    f"per VMA, {place.unit}": shown(s.per_vma, PER_VMA, sign=False),
                    f"at 0 VMAs, {place.unit}": f"{s.line.intercept:,.{WHOLE}f}",
                    "straight up to VMAs": f"{s.line.linear_to:,}",
                    "measured, VMAs": f"{min(s.counts):,} to {max(s.counts):,}",
                }
                for s in here
            ],
        )
        for place, here in _by_place(found)
    ]


def noise_listings(frame: pd.DataFrame) -> list[Listing]:
    """Samples of fork, cell by cell: their spread, outliers and drift."""
    rows: dict[str, list[dict[str, str]]] = {}
    for noise in cell_noise(frame):
        rows.setdefault(noise.place.words, []).append(
            _cell(noise.arm)
            | {
                "samples": f"{noise.samples:,}",
                "median": f"{noise.median:,.{WHOLE}f}",
                "spread, %": f"{noise.spread:,.{PERCENT}f}",
                "0.1 % above median": f"{noise.above:,}",
                "outliers": f"{noise.outliers:,}",
                "processes": f"{noise.processes:,}",
                "of them drift": f"{noise.drifting:,}",
            }
        )
    return [_listing(place, here) for place, here in rows.items()]


def _cell(arm: Arm) -> dict[str, str]:
    store = arm.store if arm.named else "unnamed"
    return _layout(arm) | {
        "names": cut(arm.names, _LONGEST),
        "store": cut(store, _LONGEST),
    }


def _layout(arm: Arm) -> dict[str, str]:
    return {"VMAs": f"{arm.vmas:,}", "pages": arm.pages}


def _verdict(judged: Judged) -> str:
    words = judged.verdict.value
    if judged.before is not None:
        words += f", {judged.before.value} before correction"
    if judged.more_boots:
        words += f", about {judged.more_boots} more boots"
    return words


def _by_place(found: Sequence[_T]) -> list[tuple[Place, list[_T]]]:
    places = sorted({each.place for each in found}, key=time_first)
    return [(place, [e for e in found if e.place == place]) for place in places]


def _listing(place: str, rows: _Rows) -> Listing:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    shared = [
        (name, rows[0][name])
        for name in _FACTS
        if name in columns and len(rows) > 1 and len({row[name] for row in rows}) == 1
    ]
    gone = {name for name, _ in shared}
    kept = [name for name in columns if name not in gone]
    return Listing(
        place=place, shared=tuple(shared), columns=tuple(kept),
        rows=tuple(tuple(row[name] for name in kept) for row in rows),
    )  # fmt: skip
