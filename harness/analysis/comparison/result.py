"""The result of a comparison: cells, missing cells, and facts that differ."""

from dataclasses import dataclass
from enum import Enum

from harness.analysis.comparison.missing import BY_PLAN, FewerBoots, Missing
from harness.analysis.stats import Interval, Judged, Verdict


class Form(Enum):
    """What is compared with what."""

    CALLS = "calls of two campaigns"
    EFFECTS = "effects of two campaigns"
    ARMS = "named against unnamed"
    STORES = "copied against shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One cell of both sides: an estimate over boots for each, and the change.

    ``first`` and ``second`` are whole calls in ``unit``. If effects are compared, they
    are what names add to a call in ``unit`` per VMA, and ``difference`` is second -
    first in the same unit. ``change`` is in percent of the first side's call, or of its
    unnamed call if effects are compared. ``spreads`` are the standard deviations over
    boots. ``trusted`` is whether the A/A checks of both sides exist and hold.
    """

    metric: str
    unit: str
    where: str
    cell: str
    first: Interval
    second: Interval
    spreads: tuple[float, float]
    difference: Interval | None = None
    change: Interval
    judged: Judged
    trusted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """A fact that differs between the sides."""

    fact: str
    first: str
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The compared cells, with verdicts corrected (Holm) per place; and missing ones.

    ``checks`` counts the A/A checks of the compared cells, ``checks_failed`` those that
    did not hold.
    """

    form: Form
    metric: str
    margin: float
    cells: tuple[Compared, ...]
    missing: tuple[Missing, ...]
    fewer_boots: tuple[FewerBoots, ...]
    differing: tuple[Differing, ...] = ()
    checks: int
    checks_failed: int

    @property
    def trusted(self) -> bool:
        """Whether every compared cell is trusted."""
        return bool(self.cells) and all(cell.trusted for cell in self.cells)

    @property
    def regressed(self) -> bool:
        """Whether a trusted cell got worse by more than the margin."""
        return any(
            cell.trusted and cell.judged.verdict is Verdict.REGRESSED
            for cell in self.cells
        )

    @property
    def complete(self) -> bool:
        """Whether no cell is missing, and no boot of a plan."""
        return not self.missing and not any(f.by == BY_PLAN for f in self.fewer_boots)
