"""What was claimed in 2021, and what a campaign measures beside it.

The claims are those of the commit message of 78db3412833d and of the cover letter of
v8 (2021-08-27). They are about milliseconds, so a clock that counts instructions
decides none of them: its figure is shown, and called what it is. A clock of time
says whether there is an effect beyond the margin, and whether the published figure
lies in the measured interval.
"""

from dataclasses import dataclass
from enum import Enum

from harness.analysis.display import formats
from harness.analysis.effects import Effect, reductions
from harness.analysis.processes import Arm, Place
from harness.analysis.published import PUBLISHED_PERCENT, like_2021
from harness.analysis.stats import Interval, Verdict

# "a few thousand"
FEW_THOUSAND = (1_000, 8_000)
REDUCTION = (3.0, 4.0)

COPYING = "copying names makes fork of 64K VMAs up to 40 % slower"
REDUCING = "sharing them reduces that regression 3 to 4 times"
NOTHING = "with a few thousand VMAs, sharing is not measurable"


class Finding(Enum):
    """What a measured figure is beside the published one."""

    REPRODUCED = "reproduced"
    SMALLER = "smaller"
    LARGER = "larger"
    UNDECIDED = "not decided here"
    NOT_TIME = "not a clock of time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim, the published figure, and what a place measured of it.

    ``published`` and ``measured`` are in ``unit``: percent, or times; ``published``
    is a range, or one figure twice. ``verdict`` is the measured effect against the
    margin, None where there is none. ``trusted`` is whether the A/A checks held.
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
        was = f"published: {self.published_words}; "
        ours = f"measured: {self.measured_words}{counted} ({self.arm.words})"
        return was + ours

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
    """Every claim, for every place that has the cells it is about."""
    forks = [e for e in found if e.metric == "fork"]
    told = []
    for place in sorted({e.place for e in forks}, key=lambda place: place.words):
        here = [e for e in forks if e.place == place]
        told += [*_copying(here), *_reducing(here), *_nothing(here)]
    return told


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
        told = _claim(REDUCING, shared, REDUCTION, each.times, "times", finding)
        return [told]
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
    told = _claim(NOTHING, worst, (0.0, 0.0), worst.percent, "%", finding)
    return [told]


def _beside(
    measured: Interval, published: tuple[float, float], *, nothing: float
) -> Finding:
    """The measured interval beside the published figure.

    An interval that holds both the figure and ``nothing`` decides nothing, nor does
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
