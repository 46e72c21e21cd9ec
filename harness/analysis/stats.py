"""Statistics of campaigns: intervals, verdicts, slopes, outliers and drift.

Pure functions over arrays. The unit of replication is the boot: the input is one
number per boot, which ``effects`` has summarised before. Every number that is shown
is an ``estimate`` over boots. Sources:

* bootstrap-t interval of a mean: B. Efron and R. J. Tibshirani, "An Introduction
  to the Bootstrap" (1993), 12.5; with eight boots, percentile
  intervals cover the true value in only 92 of 100 cases (tests/analysis/calibration.py)
* interval of a ratio of means: E. C. Fieller, Journal of the Royal Statistical
  Society B 16 (1954)
* equivalence by two one-sided tests: D. J. Schuirmann, Journal of
  Pharmacokinetics and Biopharmaceutics 15 (1987)
* many comparisons: S. Holm, Scandinavian Journal of Statistics 6 (1979)
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.analysis.processes import LEAST_BOOTS

SEED = 20210827
_RESAMPLES = 4000
ALPHA = 0.05
_MOST_BOOTS = 10_000

Values = npt.NDArray[np.float64]
Numbers = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate over ``boots`` boots, with its interval.

    ``kind`` is bootstrap or fieller (95 % intervals), or range (of the boots).
    """

    value: float
    low: float
    high: float
    boots: int
    kind: str


class Verdict(Enum):
    """How a measured difference compares with a margin that was chosen beforehand."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, its p-value (None without a test), and how many boots it lacks.

    ``more_boots`` is how many further boots (per side, if there are two) an
    inconclusive verdict is likely to need; None if no number would be enough.
    ``before`` is the verdict before ``holm`` changed it to inconclusive. ``holm``
    computes the number of boots from ``noise``.
    """

    verdict: Verdict
    p: float | None = None
    more_boots: int | None = None
    before: Verdict | None = None
    noise: "Noise | None" = None


@dataclass(frozen=True, slots=True)
class Noise:
    """How far a mean lies from the margin, and the standard deviation of ``boots``."""

    distance: float
    spread: float
    boots: int

    def needed(self, *, level: float = ALPHA, power: float = 0.8) -> int | None:
        """How many boots a verdict is likely to need if these boots are typical.

        None if the mean lies on the margin, or if more than 10 000 are needed.
        """
        if self.distance <= self.spread / 1000:
            return None
        # Imported here: statsmodels takes a third of a second.
        from statsmodels.stats.power import TTestPower

        if self.spread == 0:
            return LEAST_BOOTS

        def enough(boots: int) -> bool:
            found = TTestPower().power(self.distance / self.spread, boots, level)
            return bool(found >= power)

        most = LEAST_BOOTS
        while not enough(most):
            most *= 2
            if most > _MOST_BOOTS:
                return None
        boots = range(max(LEAST_BOOTS, most // 2), most)
        return boots.start + bisect_left(boots, True, key=enough)

    def undecided(self, *, level: float = ALPHA) -> Judged:
        """INCONCLUSIVE, with the number of further boots that it is likely to need."""
        needed = self.needed(level=level)
        more = max(needed, LEAST_BOOTS, self.boots + 1) - self.boots if needed else None
        return Judged(Verdict.INCONCLUSIVE, None, more, noise=self)


def interval(values: Numbers, *, confidence: float = 0.95) -> Interval:
    """The mean of one number per boot, with its bootstrap-t interval.

    With fewer than ``LEAST_BOOTS`` boots the interval is their range.
    """
    data = np.asarray(values, dtype=float)
    n = len(data)
    middle = float(data.mean())
    if n < LEAST_BOOTS or np.ptp(data) == 0:
        return Interval(middle, float(data.min()), float(data.max()), n, "range")
    # The distances of resampled means from this mean, each in units of its own
    # standard error. They keep the shape of the data's noise, and their width is
    # right for few boots, too.
    draws = np.random.default_rng(SEED).choice(data, (_RESAMPLES, n))
    errors = draws.std(axis=1, ddof=1)
    usable = errors > 0
    t = (draws.mean(axis=1)[usable] - middle) / errors[usable]
    tail = (1 - confidence) / 2
    most, least = np.quantile(t, (1 - tail, tail)) * data.std(ddof=1)
    low, high = middle - most, middle - least
    return Interval(middle, float(low), float(high), n, "bootstrap")


def exact_range(values: Numbers) -> Interval:
    """The median of one number per boot, with the range of the boots.

    For the instruction clock, whose boots hardly differ.
    """
    data = np.asarray(values, dtype=float)
    return Interval(
        float(np.median(data)), float(data.min()), float(data.max()), len(data), "range"
    )


def estimate(values: Numbers, *, exact: bool) -> Interval:
    """The estimate that is shown everywhere, from one number per boot.

    ``exact`` is for the instruction clock and means ``exact_range``; a clock of time
    has ``interval``.
    """
    return exact_range(values) if exact else interval(values)


def ratio_of_means(
    above: Numbers, below: Numbers, *, paired: bool = True
) -> Interval | None:
    """The ratio of two means over boots, with its 95 % interval (Fieller).

    The interval contains every ratio that a t-test of ``above - ratio * below`` does
    not reject. None if that interval is not finite, because the mean of ``below`` may
    be zero, or with fewer than ``LEAST_BOOTS`` boots. ``paired`` means that both have
    the same boots in the same order.
    """
    a, b = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    n = min(len(a), len(b))
    if n < LEAST_BOOTS:
        return None
    mean_a, mean_b = float(a.mean()), float(b.mean())
    t2 = float(stats.t.ppf(1 - ALPHA / 2, n - 1)) ** 2
    aa, bb = t2 * a.var(ddof=1) / len(a), t2 * b.var(ddof=1) / len(b)
    ab = t2 * float(np.cov(a, b)[0, 1]) / n if paired else 0.0
    # (mean_a - r mean_b)^2 <= aa - 2 r ab + r^2 bb, solved for r.
    square = mean_b**2 - bb
    if square <= 0 or mean_b <= 0:
        return None
    half = mean_a * mean_b - ab
    root = math.sqrt(max(0.0, half**2 - square * (mean_a**2 - aa)))
    low, high = (half - root) / square, (half + root) / square
    return Interval(mean_a / mean_b, float(low), float(high), n, "fieller")


def judge(values: Numbers, margin: float) -> Judged:
    """The verdict on differences, one per boot, in the unit of ``margin``.

    REGRESSED and IMPROVED: beyond the margin, one-sided at 2.5 %. EQUIVALENT:
    within it, two one-sided tests at 5 %. INCONCLUSIVE otherwise, and with fewer
    than ``LEAST_BOOTS`` boots.
    """
    data = np.asarray(values, dtype=float)
    n = len(data)
    if n < 2:
        return Judged(Verdict.INCONCLUSIVE, None, LEAST_BOOTS - n)
    noise = noise_of(data, margin)
    above = _one_sided(data, margin, "greater")
    below = _one_sided(data, -margin, "less")
    within = max(_one_sided(data, margin, "less"), _one_sided(data, -margin, "greater"))
    if n >= LEAST_BOOTS:
        if above < ALPHA / 2:
            return Judged(Verdict.REGRESSED, above, noise=noise)
        if below < ALPHA / 2:
            return Judged(Verdict.IMPROVED, below, noise=noise)
        if within < ALPHA:
            return Judged(Verdict.EQUIVALENT, within, noise=noise)
    return noise.undecided()


def judge_exact(values: Numbers, margin: float) -> Judged:
    """The verdict for the instruction clock: all boots must lie on the same side.

    There is no test: boots differ in the fifth digit, so a p-value would say nothing.
    """
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return Judged(Verdict.INCONCLUSIVE, None, 2 - len(data))
    if data.min() > margin:
        return Judged(Verdict.REGRESSED)
    if data.max() < -margin:
        return Judged(Verdict.IMPROVED)
    if np.abs(data).max() <= margin:
        return Judged(Verdict.EQUIVALENT)
    return Judged(Verdict.INCONCLUSIVE)


def judge_on(values: Numbers, margin: float, *, exact: bool) -> Judged:
    """``judge_exact`` if ``exact`` (the instruction clock), else ``judge``."""
    return judge_exact(values, margin) if exact else judge(values, margin)


def noise_of(values: Numbers, margin: float) -> Noise:
    """The noise of two or more differences, one per boot, in the unit of ``margin``."""
    data = np.asarray(values, dtype=float)
    distance = abs(margin - abs(float(data.mean())))
    return Noise(distance, float(data.std(ddof=1)), len(data))


def holm(judged: Sequence[Judged]) -> list[Judged]:
    """The verdicts of several cells, corrected for their number (Holm).

    A verdict whose corrected p is not below its level becomes inconclusive; ``before``
    keeps it. Verdicts that were inconclusive already count as tests, too. The number
    of further boots is computed at the strictest level, that of the smallest p.
    """
    p_values = [1.0 if each.p is None else each.p for each in judged]
    corrected = (
        multipletests(p_values, alpha=ALPHA, method="holm")[1] if p_values else []
    )
    result = []
    for each, p in zip(judged, corrected, strict=True):
        level = ALPHA if each.verdict is Verdict.EQUIVALENT else ALPHA / 2
        if each.noise is None:
            result.append(each)
        elif each.p is not None and p < level:
            result.append(replace(each, p=float(p)))
        else:
            undecided = each.noise.undecided(level=ALPHA / len(judged))
            before = None if each.p is None else each.verdict
            p_corrected = None if each.p is None else float(p)
            result.append(replace(undecided, p=p_corrected, before=before))
    return result


@dataclass(frozen=True, slots=True)
class Line:
    """Cost over VMAs as a straight line: its slope per VMA, and where it ends.

    ``linear_to`` is the largest VMA count up to which all measured points lie within
    ``tolerance`` of the line through them.
    """

    slope: float
    intercept: float
    low: float
    high: float
    linear_to: int


def line(
    counts: Sequence[int],
    by_boot: Sequence[Sequence[float]],
    *,
    exact: bool,
    tolerance: float = 0.1,
) -> Line:
    """Fit cost over counts. ``by_boot`` has a row per boot and a column per count.

    Relative least squares, because the spread grows with the cost. The slope is an
    ``estimate`` over boots. Needs at least two counts.
    """
    x = np.asarray(counts, dtype=float)
    rows = np.asarray(by_boot, dtype=float)
    middle = np.median(rows, axis=0)
    fits = [_fit(x, row) for row in rows]
    linear_to = counts[0]
    for end in range(2, len(x) + 1):
        s, i = _fit(x[:end], middle[:end])
        off = np.abs(middle[:end] / (s * x[:end] + i) - 1)
        if off.max() > tolerance:
            break
        linear_to = counts[end - 1]
    over = estimate([slope for slope, _ in fits], exact=exact)
    intercept = float(np.mean([each for _, each in fits]))
    return Line(over.value, intercept, over.low, over.high, int(linear_to))


def _fit(x: Values, y: Values) -> tuple[float, float]:
    slope, intercept = np.polyfit(x, y, 1, w=1 / np.maximum(np.abs(y), 1e-12))
    return float(slope), float(intercept)


def outliers(values: Numbers) -> int:
    """How many values lie more than 5 robust deviations from the median.

    Outliers are counted, never removed. The robust deviation is the scaled median
    absolute deviation.
    """
    data = np.asarray(values, dtype=float)
    deviation = float(stats.median_abs_deviation(data, scale="normal"))
    if deviation == 0:
        return int((data != np.median(data)).sum())
    return int((np.abs(data - np.median(data)) > 5 * deviation).sum())


def drifts(values: Numbers) -> bool:
    """Whether values rise or fall in the order they were measured (Spearman, 1 %)."""
    data = np.asarray(values, dtype=float)
    if len(data) < 8 or np.ptp(data) == 0:
        return False
    return bool(stats.spearmanr(np.arange(len(data)), data).pvalue < 0.01)


def _one_sided(data: Values, against: float, side: Literal["greater", "less"]) -> float:
    if np.ptp(data) == 0:
        beyond = data[0] > against if side == "greater" else data[0] < against
        return 0.0 if beyond else 1.0
    return float(stats.ttest_1samp(data, against, alternative=side).pvalue)
