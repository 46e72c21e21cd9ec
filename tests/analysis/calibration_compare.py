"""Two campaigns whose truth is known, by the hundred: is what compare says right?

``python -m tests.analysis.calibration_compare`` runs the full form and prints a table;
``make check`` runs a short one. The noise has the shape that ``calibration`` gives it,
drawn for each side by itself: their boots are not pairs.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.analysis.comparison.unpaired import change, difference
from harness.analysis.stats import Interval, Judged, Verdict
from tests.analysis.calibration import MARGIN, Rate, Values

_FORKS = 9
_BETWEEN_BOOTS, _BETWEEN_PROCESSES = 0.05, 0.012
# By so many percent calls change.
_CHANGES = (0.0, 12.0)
# A margin that is wide beside the noise: equivalence has power there.
_WIDE = 15.0


@dataclass(frozen=True)
class Effects:
    """So many percent names cost on each side; the second is so many times slower."""

    first: float
    second: float
    slower: float = 1.0

    @property
    def percent(self) -> float:
        """The true change, in percent of the first side's unnamed call."""
        return self.slower * self.second - self.first


_EFFECTS = (Effects(12, 12), Effects(12, 20, 1.6))


@dataclass(frozen=True)
class Wrong:
    """Verdicts that are wrong where the true change is ``percent``, and how often."""

    what: str
    percent: float
    verdicts: tuple[Verdict, ...]
    most: float
    margin: float = MARGIN


_WRONG = (
    Wrong("no change called one", 0, (Verdict.REGRESSED, Verdict.IMPROVED), 0.025),
    Wrong("the margin called regressed", MARGIN, (Verdict.REGRESSED,), 0.03),
    Wrong("the margin called improved", -MARGIN, (Verdict.IMPROVED,), 0.03),
    Wrong("the margin called equivalent", _WIDE, (Verdict.EQUIVALENT,), 0.055, _WIDE),
)


@dataclass(frozen=True)
class Boots:
    """One number per boot: the calls of an unnamed and of a named arm."""

    unnamed: Values
    named: Values

    @property
    def extra(self) -> Values:
        """What names add to a call."""
        return self.named - self.unnamed


def side(
    draw: np.random.Generator, boots: int, effect: float, *, slower: float = 1.0
) -> Boots:
    """A campaign in which names cost ``effect`` percent of a call."""
    machine = slower * draw.normal(1, _BETWEEN_BOOTS, boots)
    arms = []
    for factor in (1.0, 1 + effect / 100):
        luck = draw.normal(1, _BETWEEN_PROCESSES, boots)
        forks = 1 + draw.exponential(0.2, (boots, _FORKS))
        decile = np.quantile(forks, 0.1, axis=1, method="nearest")
        arms.append(machine * factor * luck * decile)
    return Boots(*arms)


def rates(campaigns: int, boots: tuple[int, ...] = (6, 8, 12)) -> Iterator[Rate]:
    """Every figure of the table."""
    draw = np.random.default_rng(2)
    # As many boots on both sides, and four times as many on one.
    for n, m in [*((n, n) for n in boots), (min(boots), 4 * min(boots))]:
        sizes = f"{n} and {m} boots"
        for percent in _CHANGES:
            drawn = (_calls(draw, n, m, percent, MARGIN) for _ in range(campaigns))
            hits = sum(_holds(found, percent) for found, _ in drawn)
            what = f"the interval of a change of {percent:g} % holds it, {sizes}"
            yield Rate(what, hits, campaigns, 0.93, 0.97)
        for effects in _EFFECTS:
            yield from _of_effects(draw, campaigns, n, m, effects)
        for wrong in _WRONG:
            calls = (
                _calls(draw, n, m, wrong.percent, wrong.margin)[1].verdict
                for _ in range(campaigns)
            )
            hits = sum(verdict in wrong.verdicts for verdict in calls)
            yield Rate(f"calls: {wrong.what}, {sizes}", hits, campaigns, 0, wrong.most)
            same = Effects(12, 12 + wrong.percent)
            extras = (
                _extras(draw, n, m, same, wrong.margin)[2].verdict
                for _ in range(campaigns)
            )
            hits = sum(verdict in wrong.verdicts for verdict in extras)
            yield Rate(
                f"effects: {wrong.what}, {sizes}", hits, campaigns, 0, wrong.most
            )


def _calls(
    draw: np.random.Generator, n: int, m: int, percent: float, margin: float
) -> tuple[Interval, Judged]:
    first, second = side(draw, n, 0).unnamed, side(draw, m, percent).named
    return change(first, second, first, margin=margin, exact=False)


def _extras(
    draw: np.random.Generator, n: int, m: int, effects: Effects, margin: float
) -> tuple[Interval, Interval, Judged]:
    first = side(draw, n, effects.first)
    second = side(draw, m, effects.second, slower=effects.slower)
    apart = difference(first.extra, second.extra, exact=False)
    return apart, *change(
        first.extra, second.extra, first.unnamed, margin=margin, exact=False
    )


def _of_effects(
    draw: np.random.Generator, campaigns: int, n: int, m: int, effects: Effects
) -> Iterator[Rate]:
    units = effects.percent / 100 * _CALL
    held = [0, 0]
    for _ in range(campaigns):
        apart, percent, _judged = _extras(draw, n, m, effects, MARGIN)
        held[0] += _holds(apart, units)
        held[1] += _holds(percent, effects.percent)
    what = (
        f"of effects of {effects.first:g} and {effects.second:g} % "
        f"({effects.slower:g} times slower) holds it, {n} and {m} boots"
    )
    yield Rate(f"the interval of the difference {what}", held[0], campaigns, 0.93, 0.97)
    yield Rate(f"the interval of the change {what}", held[1], campaigns, 0.93, 0.97)


def _holds(found: Interval, truth: float) -> bool:
    return found.low <= truth <= found.high


# What an unnamed call takes on average.
_CALL = float(side(np.random.default_rng(9), 400_000, 0).unnamed.mean())


def main() -> int:
    """Print the table; 1 when a figure is out of its bounds."""
    well = True
    for rate in rates(2000):
        well &= rate.well
        print(
            f"{rate.hits / rate.of:7.1%}  should be {rate.least:.1%} to "
            f"{rate.most:.1%}  {rate.sign}  {rate.what}",
            flush=True,
        )
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
