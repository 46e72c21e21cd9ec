"""Campaigns whose truth is known, by the hundred: are intervals and verdicts right?

``python -m tests.analysis.calibration`` runs the full form and prints a table;
``make check`` runs a short one. Noise has the shape of time on a shared machine:
a boot is fast or slow as a whole, a process has luck of its own, and neighbours
make single forks slower, never faster, of which the first decile is taken.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.stats import (
    Judged,
    Verdict,
    estimate,
    holm,
    judge,
    noise_of,
    ratio_of_means,
)

MARGIN = 2.0
_FORKS = 9
_BETWEEN_BOOTS, _BETWEEN_PROCESSES = 0.05, 0.012

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rate:
    """How often something came true, and between what it should have been."""

    what: str
    hits: int
    of: int
    least: float
    most: float

    @property
    def sign(self) -> str:
        """ok, ok* where it is outside its bounds by no more than chance, or NOT."""
        if self.least <= self.hits / self.of <= self.most:
            return "ok "
        return "ok*" if self.well else "NOT"

    @property
    def well(self) -> bool:
        """Within bounds, or off by what chance does in one of 1 000 such tables."""
        p = self.hits / self.of
        slack = 3.3 * np.sqrt(0.95 * 0.05 / self.of)
        return bool(self.least - slack <= p <= self.most + slack)


def percents(
    draw: np.random.Generator, boots: int, effect: float, *, blocks: int = 1
) -> Values:
    """One percentage a boot, of a campaign whose true effect is ``effect``."""
    return arm_percents(draw, boots, (effect,), blocks=blocks)[0]


def arm_percents(
    draw: np.random.Generator,
    boots: int,
    effects: tuple[float, ...],
    *,
    blocks: int = 1,
) -> list[Values]:
    """The same of several named arms, which share the unnamed one of their boot."""
    machine = draw.normal(1, _BETWEEN_BOOTS, (boots, 1))
    arms = []
    for factor in (1.0, *(1 + effect / 100 for effect in effects)):
        luck = draw.normal(1, _BETWEEN_PROCESSES, (boots, blocks))
        slower = draw.exponential(0.2, (boots, blocks, _FORKS))
        decile = np.quantile(1 + slower, 0.1, axis=2, method="nearest")
        arms.append(machine * factor * luck * decile)
    return [np.asarray(((arm / arms[0] - 1) * 100).mean(axis=1)) for arm in arms[1:]]


def true_percent(effect: float, *, blocks: int = 1) -> float:
    """What ``percents`` is on average: a ratio of noisy numbers is a little above."""
    return float(
        percents(np.random.default_rng(9), 200_000, effect, blocks=blocks).mean()
    )


def rates(campaigns: int, boots: tuple[int, ...] = (6, 8, 12)) -> Iterator[Rate]:
    """Every figure of the table."""
    draw = np.random.default_rng(1)
    for n in boots:
        for effect in (0.0, 12.0):
            truth = true_percent(effect)
            hits = 0
            for _ in range(campaigns):
                got = estimate(percents(draw, n, effect), exact=False)
                hits += got.low <= truth <= got.high
            what = f"95 % interval of {n} boots holds the truth, effect {effect:g} %"
            yield Rate(what, hits, campaigns, 0.93, 0.97)
        yield _reductions(draw, campaigns, n)
    off = true_percent(0.0)
    for n in boots:
        yield _verdicts(draw, campaigns, n, -off, (Verdict.REGRESSED, Verdict.IMPROVED),
                        "no effect told as one", 0.0, 0.025)  # fmt: skip
        yield _verdicts(draw, campaigns, n, MARGIN - off, (Verdict.REGRESSED,),
                        "the margin itself told as regressed", 0.0, 0.03)  # fmt: skip
        yield _verdicts(draw, campaigns, n, MARGIN - off, (Verdict.EQUIVALENT,),
                        "the margin itself told as equivalent", 0.0, 0.055)  # fmt: skip
    yield _power(draw, campaigns)
    yield _family(draw, campaigns)


# In percent: what copied and shared names cost.
_COPIED, _SHARED = 35.0, 6.0


def _reductions(draw: np.random.Generator, campaigns: int, boots: int) -> Rate:
    truth = true_percent(_COPIED) / true_percent(_SHARED)
    hits, of = 0, 0
    for _ in range(campaigns):
        copied, shared = arm_percents(draw, boots, (_COPIED, _SHARED))
        if (got := ratio_of_means(copied, shared)) is not None:
            of += 1
            hits += got.low <= truth <= got.high
    what = f"95 % interval of {boots} boots holds the true reduction"
    return Rate(what, hits, of, 0.93, 0.97)


def _verdicts(
    draw: np.random.Generator,
    campaigns: int,
    boots: int,
    effect: float,
    wrong: tuple[Verdict, ...],
    what: str,
    least: float,
    most: float,
) -> Rate:
    hits = sum(
        judge(percents(draw, boots, effect), MARGIN).verdict in wrong
        for _ in range(campaigns)
    )
    return Rate(f"{what}, {boots} boots", hits, campaigns, least, most)


def _power(draw: np.random.Generator, campaigns: int) -> Rate:
    hits, of = 0, 0
    for _ in range(campaigns):
        needed = noise_of(percents(draw, 12, 12.0), MARGIN).needed()
        if needed is not None:
            of += 1
            verdict = judge(percents(draw, max(needed, 6), 12.0), MARGIN).verdict
            hits += verdict is Verdict.REGRESSED
    return Rate(
        "a verdict with as many boots as were promised to do", hits, of, 0.75, 1
    )


def _family(draw: np.random.Generator, campaigns: int) -> Rate:
    cells, hits, of = 10, 0, max(1, campaigns // 5)
    for _ in range(of):
        judged: list[Judged] = holm(
            [judge(percents(draw, 8, MARGIN), MARGIN) for _ in range(cells)]
        )
        hits += any(each.verdict is Verdict.REGRESSED for each in judged)
    return Rate("any of 10 cells at the margin told as regressed", hits, of, 0, 0.06)


def main() -> int:
    """Print the table; 1 when a figure is out of its bounds."""
    well = True
    for rate in rates(2000):
        share = rate.hits / rate.of
        well &= rate.well
        print(
            f"{share:7.1%}  should be {rate.least:.1%} to {rate.most:.1%}  "
            f"{rate.sign}  {rate.what}",
            flush=True,
        )
    print("ok*: outside, but no further than chance puts one row in 1 000 such tables")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
