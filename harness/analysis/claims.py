"""The claims of 2021, and what a campaign measures for each.

The claims come from the commit message of 78db3412833d and from the cover letter of
v8 (2021-08-27). They are about milliseconds, so the instruction clock decides none of
them; its figure is shown and labelled as instructions. A clock of time decides whether
there is an effect beyond the margin, and whether the published figure lies in the
measured interval.
"""

from dataclasses import dataclass
from enum import Enum

from harness.analysis.display import formats
from harness.analysis.effects import Effect, reductions
from harness.analysis.processes import Arm, Place
from harness.analysis.published import PUBLISHED_PERCENT, like_2021
from harness.analysis.stats import Interval, Verdict

# The VMA counts that "a few thousand" is taken to mean.
FEW_THOUSAND = (1_000, 8_000)
REDUCTION = (3.0, 4.0)

COPYING = "copying names makes fork of 64K VMAs up to 40 % slower"
REDUCING = "sharing them reduces that regression 3 to 4 times"
NOTHING = "with a few thousand VMAs, sharing is not measurable"


class Finding(Enum):
    """How a measured figure compares with the published one."""

    REPRODUCED = "reproduced"
    SMALLER = "smaller"
    LARGER = "larger"
    UNDECIDED = "not decided here"
    NOT_TIME = "not a clock of time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim, the published figure, and the figure that one place measured.

    ``published`` and ``measured`` are in ``unit``: percent, or times. ``published``
    is a range, or one figure twice. ``verdict`` compares the measured effect with the
    margin; None for a ratio. ``trusted`` is whether the A/A check held.
    """

    claim: str
    place: Place
    arm: Arm
    published: tuple[float, float]
    measured: Interval
    unit: str
    verdict: Verdict | None
    finding: Finding
    trusted: bool

    @property
    def words(self) -> str:
        """The published figure and the measured one, in a sentence."""
        counted = " of instructions" if self.place.exact else ""
        published = f"published: {self.published_words}; "
        measured = f"measured: {self.measured_words}{counted} ({self.arm.words})"
        return published + measured

    @property
    def published_words(self) -> str:
        """The published figure with its unit."""
        low, high = self.published
        if high == 0:
            return "nothing measurable"
        return f"{low:g} {self.unit}" if low == high else f"{low:g} to {high:g} times"

    @property
    def measured_words(self) -> str:
        """The measured figure with its interval and unit."""
        places = formats.PERCENT if self.unit == "%" else formats.TIMES
        return formats.spoken(self.measured, places, self.unit)


def answer_claims(found: list[Effect]) -> list[Claim]:
    """Every claim, for every place that measured the cells of the claim."""
    forks = [e for e in found if e.metric == "fork"]
    claims = []
    for place in sorted({e.place for e in forks}, key=lambda place: place.words):
        here = [e for e in forks if e.place == place]
        claims += [*_copying(here), *_reducing(here), *_nothing(here)]
    return claims


def _copying(here: list[Effect]) -> list[Claim]:
    cell = like_2021(here, "strdup")
    if cell is None:
        return []
    figure = PUBLISHED_PERCENT[0]["strdup"]
    finding = _beside(cell.percent, (figure, figure), nothing=0.0)
    return [_claim(COPYING, cell, (figure, figure), cell.percent, "%", finding)]


def _reducing(here: list[Effect]) -> list[Claim]:
    shared, copied = (
        like_2021(here, "refcounted"),
        like_2021(here, "strdup"),
    )
    if shared is None or copied is None:
        return []
    for each in reductions([copied, shared]):
        finding = _beside(each.times, REDUCTION, nothing=1.0)
        return [_claim(REDUCING, shared, REDUCTION, each.times, "times", finding)]
    return []


def _nothing(here: list[Effect]) -> list[Claim]:
    few, thousand = FEW_THOUSAND
    cells = [
        e for e in here
        if few <= e.arm.vmas <= thousand and e.arm.store == "refcounted"
    ]  # fmt: skip
    if not cells:
        return []
    worst = max(cells, key=lambda e: max(abs(e.percent.low), abs(e.percent.high)))
    verdicts = {e.judged.verdict for e in cells}
    if verdicts == {Verdict.EQUIVALENT}:
        finding = Finding.REPRODUCED
    elif Verdict.REGRESSED in verdicts:
        worst = max(cells, key=lambda e: e.percent.low)
        finding = Finding.LARGER
    else:
        finding = Finding.UNDECIDED
    return [_claim(NOTHING, worst, (0.0, 0.0), worst.percent, "%", finding)]


def _beside(
    measured: Interval, published: tuple[float, float], *, nothing: float
) -> Finding:
    """Compare the measured interval with the published figure.

    An interval that contains both the figure and ``nothing`` is undecided, and so is
    the range of a few boots.
    """
    if measured.kind == "range":
        return Finding.UNDECIDED
    least, most = published
    if measured.high < least:
        return Finding.SMALLER
    if measured.low > most:
        return Finding.LARGER
    if measured.low <= nothing:
        return Finding.UNDECIDED
    return Finding.REPRODUCED


def _claim(
    claim: str,
    effect: Effect,
    published: tuple[float, float],
    measured: Interval,
    unit: str,
    finding: Finding,
) -> Claim:
    return Claim(
        claim=claim, place=effect.place, arm=effect.arm, published=published,
        measured=measured, unit=unit,
        verdict=effect.judged.verdict if unit == "%" else None,
        finding=Finding.NOT_TIME if effect.place.exact else finding,
        trusted=effect.trusted,
    )  # fmt: skip
