"""The difference of two sides whose boots are not paired, and the verdict on it.

Two campaigns, or two kernels, boot separately. ``stats.estimate`` summarises each side.
For time, this module uses Welch's t-test (B. L. Welch, Biometrika 34 (1947)) and, for
percentages, all percentages that the test does not reject (Fieller, see ``stats``). For
instructions, it compares every boot of one side with every boot of the other, without
a test.
"""

import math
from typing import Literal

import numpy as np
from scipy import stats

from harness.analysis.processes import LEAST_BOOTS
from harness.analysis.stats import (
    ALPHA,
    Interval,
    Judged,
    Noise,
    Numbers,
    Values,
    Verdict,
    judge_exact,
)


def difference(first: Numbers, second: Numbers, *, exact: bool) -> Interval:
    """second - first, from one number per boot, in their unit.

    ``exact`` is for instructions: the difference of medians, with the range of all
    pairs of boots. Otherwise it is the difference of means with Welch's 95 % interval,
    or with the range if a side has fewer than ``LEAST_BOOTS`` boots.
    """
    x, y = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    boots = min(len(x), len(y))
    middle = _middle(y, exact) - _middle(x, exact)
    if exact or boots < LEAST_BOOTS or _still(x, y):
        pairs = y[:, None] - x[None, :]
        return Interval(middle, float(pairs.min()), float(pairs.max()), boots, "range")
    half = _t(x, y) * math.sqrt(_error(x) + _error(y))
    return Interval(middle, middle - half, middle + half, boots, "welch")


def change(
    first: Numbers, second: Numbers, base: Numbers, *, margin: float, exact: bool
) -> tuple[Interval, Judged]:
    """second - first in percent of ``base``, and the verdict against ``margin``.

    ``base`` has one number per boot of the first side: ``first`` itself for the
    change of a cost, the unnamed calls for the change of what names add to them. The
    verdicts mean the same as those of ``stats.judge`` and ``stats.judge_exact``.
    """
    x, y, u = (np.asarray(each, dtype=float) for each in (first, second, base))
    boots = min(len(x), len(y))
    if exact:
        percent = _range(x, y, u, exact=True)
        if boots < 2:
            return percent, Judged(Verdict.INCONCLUSIVE, None, 2 - boots)
        return percent, judge_exact([percent.low, percent.high], margin)
    percent = _percent(x, y, u)
    if boots < 2:
        return percent, Judged(Verdict.INCONCLUSIVE, None, LEAST_BOOTS - boots)
    return percent, _judged(x, y, u, percent.value, margin)


def _middle(data: Values, exact: bool) -> float:
    return float(np.median(data)) if exact else float(data.mean())


def _range(x: Values, y: Values, u: Values, *, exact: bool) -> Interval:
    """The change from every boot of the first side to every boot of the second."""
    pairs = (y[:, None] - x[None, :]) / u[None, :] * 100
    middle = (_middle(y, exact) - _middle(x, exact)) / _middle(u, exact) * 100
    low, high = min(pairs.min(), middle), max(pairs.max(), middle)
    return Interval(middle, float(low), float(high), min(len(x), len(y)), "range")


def _percent(x: Values, y: Values, u: Values) -> Interval:
    boots = min(len(x), len(y))
    if boots < LEAST_BOOTS or _still(x, y):
        return _range(x, y, u, exact=False)
    d, base = float(y.mean() - x.mean()), float(u.mean())
    # (d - r base)^2 <= t^2 (variance of d - r base), solved for r.
    t2 = _t(x + d / base * u, y) ** 2
    dd = t2 * (_error(x) + _error(y))
    du = -t2 * float(np.cov(x, u)[0, 1]) / len(x)
    uu = t2 * _error(u)
    square, half = base**2 - uu, d * base - du
    if square <= 0:
        # The base may be zero, so a percentage of it may be anything.
        return _range(x, y, u, exact=False)
    root = math.sqrt(max(0.0, half**2 - square * (d**2 - dd)))
    low, high = ((half + sign * root) / square * 100 for sign in (-1, 1))
    return Interval(d / base * 100, low, high, boots, "fieller")


def _judged(x: Values, y: Values, u: Values, percent: float, margin: float) -> Judged:
    boots = min(len(x), len(y))
    both = math.hypot((x + percent / 100 * u).std(ddof=1), y.std(ddof=1))
    spread = both / float(u.mean()) * 100
    noise = Noise(abs(margin - abs(percent)), float(spread), boots)
    if boots < LEAST_BOOTS:
        return noise.undecided()
    shift = u * margin / 100
    if (above := _welch(x + shift, y, "greater")) < ALPHA / 2:
        return Judged(Verdict.REGRESSED, above, noise=noise)
    if (below := _welch(x - shift, y, "less")) < ALPHA / 2:
        return Judged(Verdict.IMPROVED, below, noise=noise)
    within = max(_welch(x + shift, y, "less"), _welch(x - shift, y, "greater"))
    if within < ALPHA:
        return Judged(Verdict.EQUIVALENT, within, noise=noise)
    return noise.undecided()


def _still(x: Values, y: Values) -> bool:
    return bool(np.ptp(x) == 0 and np.ptp(y) == 0)


def _error(data: Values) -> float:
    """The squared standard error of a mean."""
    return float(data.var(ddof=1)) / len(data)


def _t(x: Values, y: Values) -> float:
    """Student's t for a 95 % interval of a difference of means, with Welch's df."""
    a, b = _error(x), _error(y)
    spent = a**2 / (len(x) - 1) + b**2 / (len(y) - 1)
    freedom = (a + b) ** 2 / spent if spent else len(x) + len(y) - 2
    return float(stats.t.ppf(1 - ALPHA / 2, freedom))


def _welch(x: Values, y: Values, side: Literal["greater", "less"]) -> float:
    if _still(x, y):
        # Without noise there is no test: compare the values.
        beyond = y[0] > x[0] if side == "greater" else y[0] < x[0]
        return 0.0 if beyond else 1.0
    # From the statistics: with the data, scipy warns if all boots are equal.
    test = stats.ttest_ind_from_stats(
        y.mean(), y.std(ddof=1), len(y), x.mean(), x.std(ddof=1), len(x),
        equal_var=False, alternative=side,
    )  # fmt: skip
    return float(test.pvalue)
