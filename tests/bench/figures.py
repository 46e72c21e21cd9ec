"""A figure of the bench: what was promised, its repetitions, and what they came to.

A figure is a ratio of two numbers taken one after the other on one machine, ours
and a peer's or a limit's, and is judged against the reach that was chosen before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median


class Kind(Enum):
    """How ours is held against the other, and so what the ratio is of."""

    AT_MOST = "at most"  # ours / other
    FASTER = "at least"  # other / ours
    WITHIN = "within"  # how far ours / other is from 1, by the median
    ALWAYS_WITHIN = "always within"  # the same, in every repetition
    UNDER = "under"  # ours / other, other being a limit that nothing may touch


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row: its name, what is held against what, and how near it must come.

    ``exact`` is whether a neighbour on the machine cannot change it: instructions
    and bytes.
    """

    name: str
    what: str
    against: str
    kind: Kind
    reach: float
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both numbers of one repetition, in ``unit`` of ``clock``.

    ``size`` is how many of what, where a repetition has several sizes.
    """

    repetition: int
    ours: float
    other: float
    unit: str
    clock: str
    size: int = 0


# Kinds whose ratio is how far from 1 it is, and has a sign.
DISTANCES = (Kind.WITHIN, Kind.ALWAYS_WITHIN)


class Verdict(Enum):
    """What a row says of its figure."""

    OK = "ok"
    MISSED = "MISSED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What the repetitions of a figure came to; ``reason`` is why it failed."""

    figure: Figure
    verdict: Verdict
    middle: float = 0.0
    low: float = 0.0
    high: float = 0.0
    repetitions: int = 0
    reason: str = ""


def ratio_of(kind: Kind, pair: Pair) -> float:
    """The ratio of one pair, as its kind has it; infinite over nothing."""
    above, below = pair.ours, pair.other
    if kind is Kind.FASTER:
        above, below = below, above
    if not below:
        return float("inf")
    ratio = above / below
    return ratio - 1 if kind in DISTANCES else ratio


def ratios_of(kind: Kind, pairs: Sequence[Pair]) -> list[float]:
    """One ratio a repetition: that of its worst size."""
    worst = min if kind is Kind.FASTER else max
    by_repetition: dict[int, list[float]] = {}
    for pair in pairs:
        by_repetition.setdefault(pair.repetition, []).append(ratio_of(kind, pair))
    return [worst(ratios) for ratios in by_repetition.values()]


def judge(figure: Figure, pairs: Sequence[Pair]) -> Reached:
    """The median of the ratios, or all of them, against the reach, by its kind."""
    ratios = ratios_of(figure.kind, pairs)
    if not ratios:
        return failed(figure, "nothing was measured")
    middle, low, high = median(ratios), min(ratios), max(ratios)
    match figure.kind:
        case Kind.AT_MOST:
            well = middle <= figure.reach
        case Kind.FASTER:
            well = middle >= figure.reach
        case Kind.WITHIN:
            well = abs(middle) <= figure.reach
        case Kind.ALWAYS_WITHIN:
            well = max(abs(low), abs(high)) <= figure.reach
        case Kind.UNDER:
            well = high < figure.reach
    return Reached(
        figure=figure,
        verdict=Verdict.OK if well else Verdict.MISSED,
        middle=middle,
        low=low,
        high=high,
        repetitions=len(ratios),
    )


def failed(figure: Figure, reason: str) -> Reached:
    """A figure that could not be taken, and why."""
    return Reached(figure=figure, verdict=Verdict.FAILED, reason=reason)


def status_of(results: Sequence[Reached], *, exact_only: bool) -> int:
    """1 where a figure is missed or could not be taken, else 0.

    With ``exact_only`` what a neighbour on the machine can change is told, and
    does not count.
    """
    for result in results:
        told_only = exact_only and not result.figure.exact
        if result.verdict is Verdict.FAILED:
            return 1
        if result.verdict is Verdict.MISSED and not told_only:
            return 1
    return 0
