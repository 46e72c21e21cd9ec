"""Two campaigns, or the arms of one, cell by cell against a margin.

Two campaigns are compared arm by arm: the same cell, named or not, on one
kernel and on another. Their boots are not pairs; each of the second is set
against the mean of the first. In one campaign the named arms are compared with
the unnamed one, paired within boot and block (``answers``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from harness.analysis.aa_check import aa_checks
from harness.analysis.effects import cell_effects
from harness.analysis.frames import load
from harness.analysis.processes import (
    BOOT,
    LAYOUT,
    LEAST_BOOTS,
    NAMING,
    PLACE,
    Arm,
    processes,
)
from harness.analysis.stats import (
    ALPHA,
    SEED,
    Interval,
    Judged,
    Noise,
    Values,
    Verdict,
    exact_range,
    holm,
    judge_exact,
)
from harness.errors import UsageError

# What must be the same for two campaigns to be compared; kernels may differ.
COMPARABLE = (
    "target", "machine", "accelerator", "unit", "clock", "cpu", "settle_ms",
    "rest_ms", "settings", "harness",
)  # fmt: skip
_RESAMPLES = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One cell of both sides: means over boots, their spread, and the change.

    ``change`` is in percent of the first side; ``first`` and ``second`` are in
    ``unit``, the spreads in percent of them (standard deviation over boots).
    """

    metric: str
    unit: str
    where: str
    cell: str
    first: float
    first_spread: float
    first_boots: int
    second: float
    second_spread: float
    second_boots: int
    change: Interval
    judged: Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All cells, Holm-corrected, and whether the A/A nulls of both sides held.

    ``nulls`` counts them; with none, nothing says what the sides' noise is.
    """

    margin: float
    cells: tuple[Compared, ...]
    nulls: int
    nulls_failed: int

    @property
    def trusted(self) -> bool:
        """Whether verdicts may be believed: there were nulls, and all held."""
        return self.nulls > 0 and not self.nulls_failed

    @property
    def regressed(self) -> bool:
        """Whether any cell got worse by more than the margin."""
        return any(cell.judged.verdict is Verdict.REGRESSED for cell in self.cells)


def load_kernel(path: Path, variant: str | None) -> pd.DataFrame:
    """A campaign as ``load`` reads it; of one kernel, where one is named."""
    frame = load(path)
    if variant is None:
        return frame
    chosen = frame[frame["variant"] == variant]
    if chosen.empty:
        known = ", ".join(sorted(frame["variant"].unique()))
        raise UsageError(f"{path} has no kernel called {variant!r}; it has {known}")
    return chosen


def compare_campaigns(
    first: pd.DataFrame, second: pd.DataFrame, *, margin: float, metric: str = "fork"
) -> Comparison:
    """Every cell that both have, the second against the first.

    Raises UsageError, which names the first fact that differs, for campaigns
    that may not be compared, and when they have no cell in common.
    """
    _check_comparable(first, second)
    sides = [_by_boot(frame, metric) for frame in (first, second)]
    keys = [*_WHERE, *LAYOUT, *NAMING]
    groups = [dict(list(side.groupby(keys))) for side in sides]
    common = [key for key in groups[0] if key in groups[1]]
    if not common:
        raise UsageError("the two campaigns have no cell in common")
    cells = [
        _compared(key, metric, _values(groups[0][key]), _values(groups[1][key]), margin)
        for key in common
    ]
    nulls = [
        null
        for frame in (first, second)
        for null in aa_checks(frame, margin=margin, metric=metric)
    ]
    return _comparison(cells, margin, len(nulls), sum(not n.holds for n in nulls))


def compare_arms(
    frame: pd.DataFrame, *, margin: float, metric: str = "fork"
) -> Comparison:
    """The named arms of one campaign against its unnamed ones."""
    cells = []
    for a in cell_effects(frame, margin=margin, metric=metric):
        first, second = np.array(a.unnamed_by_boot), np.array(a.named_by_boot)
        cells.append(
            Compared(
                metric=metric, unit=a.place.unit, where=a.place.words,
                cell=f"{a.arm.words} against unnamed",
                first=float(first.mean()), first_spread=_spread(first),
                first_boots=len(first), second=float(second.mean()),
                second_spread=_spread(second), second_boots=len(second),
                change=a.percent, judged=a.judged,
            )
        )  # fmt: skip
    if not cells:
        raise UsageError(_why_no_arms(frame, metric))
    nulls = aa_checks(frame, margin=margin, metric=metric)
    # Already corrected, kernel by kernel.
    return Comparison(
        margin=margin, cells=tuple(cells), nulls=len(nulls),
        nulls_failed=sum(not n.holds for n in nulls),
    )  # fmt: skip


def _why_no_arms(frame: pd.DataFrame, metric: str) -> str:
    named = processes(frame, metric)["naming"] != "none"
    if not len(named):
        return f"the campaign has no samples of {metric} that can be analysed"
    if named.all():
        return (
            f"no unnamed process has {metric}, so its named arms cannot be compared "
            "with one; compare two campaigns, or two kernels with --variant"
        )
    return "the campaign has no named cells to compare with unnamed ones"


# A place without its kernel, which is what is compared.
_WHERE = [name for name in PLACE if name not in ("base", "variant")]


def _check_comparable(first: pd.DataFrame, second: pd.DataFrame) -> None:
    for fact in COMPARABLE:
        values = [
            set(map(str, frame[fact].dropna().unique())) for frame in (first, second)
        ]
        if values[0] != values[1]:
            shown = " and ".join(
                ", ".join(sorted(side)) or "nothing" for side in values
            )
            raise UsageError(f"the two may not be compared: {fact} is {shown}")
    for frame, which in ((first, "first"), (second, "second")):
        kernels = frame[["base", "variant"]].drop_duplicates()
        if len(kernels) > 1:
            names = ", ".join(sorted(kernels["variant"].astype(str)))
            raise UsageError(
                f"the {which} campaign has more than one kernel ({names}): which one "
                "is meant? give --variant, or two to compare"
            )


def _by_boot(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    keys = [*_WHERE, *LAYOUT, *NAMING, *BOOT]
    table = processes(frame, metric)
    # Without names it is no matter how they would be kept.
    table.loc[table["naming"] == "none", "store"] = "any"
    return table.groupby(keys)["value"].median().reset_index()


def _values(boots: pd.DataFrame) -> Values:
    return boots["value"].to_numpy(dtype=float)


def _compared(
    key: tuple[object, ...], metric: str, a: Values, b: Values, margin: float
) -> Compared:
    facts = dict(zip([*_WHERE, *LAYOUT, *NAMING], map(str, key), strict=True))
    arm = Arm(
        vmas=int(facts["vmas"]), vma_pages=int(facts["vma_pages"]),
        written_pages=int(facts["written_pages"]), store=facts["store"],
        naming=facts["naming"], name_length=int(facts["name_length"]),
    )  # fmt: skip
    if facts["unit"] == "insns":
        percent = (b / a.mean() - 1) * 100
        change, judged = exact_range(percent), judge_exact(percent, margin)
        if len(a) < 2:
            judged = Judged(Verdict.INCONCLUSIVE, None, 1)
    else:
        change, judged = _two_samples(a, b, margin)
    return Compared(
        metric=metric,
        unit=facts["unit"],
        where=f"{facts['target']} {facts['machine']} ({facts['accelerator']})",
        cell=arm.words,
        first=float(a.mean()),
        first_spread=_spread(a),
        first_boots=len(a),
        second=float(b.mean()),
        second_spread=_spread(b),
        second_boots=len(b),
        change=change,
        judged=judged,
    )


def _two_samples(a: Values, b: Values, margin: float) -> tuple[Interval, Judged]:
    """Welch's t against the margin, a bootstrap interval over boots of both.

    Below ``LEAST_BOOTS`` the range: any boot of the one over any of the other.
    """
    value = float(b.mean() / a.mean() - 1) * 100
    boots = min(len(a), len(b))
    if boots < LEAST_BOOTS:
        low, high = b.min() / a.max() - 1, b.max() / a.min() - 1
        change = Interval(value, float(low) * 100, float(high) * 100, boots, "range")
        if boots < 2:
            return change, Judged(Verdict.INCONCLUSIVE, None, LEAST_BOOTS - boots)
        return change, _noise(a, b, margin).undecided()
    draw = np.random.default_rng(SEED)
    means = [draw.choice(x, (_RESAMPLES, len(x))).mean(axis=1) for x in (a, b)]
    low, high = np.quantile((means[1] / means[0] - 1) * 100, (0.025, 0.975))
    change = Interval(value, float(low), float(high), boots, "bootstrap")
    noise = _noise(a, b, margin)
    shift = float(a.mean()) * margin / 100
    if (above := _welch(a + shift, b, "greater")) < ALPHA / 2:
        return change, Judged(Verdict.REGRESSED, above, noise=noise)
    if (below := _welch(a - shift, b, "less")) < ALPHA / 2:
        return change, Judged(Verdict.IMPROVED, below, noise=noise)
    within = max(_welch(a + shift, b, "less"), _welch(a - shift, b, "greater"))
    if within < ALPHA:
        return change, Judged(Verdict.EQUIVALENT, within, noise=noise)
    return change, noise.undecided()


def _noise(a: Values, b: Values, margin: float) -> Noise:
    """That of the difference of two means, in percent of the first."""
    percent = abs(float(b.mean() / a.mean() - 1) * 100)
    both = float(np.hypot(a.std(ddof=1), b.std(ddof=1)) / a.mean() * 100)
    return Noise(abs(margin - percent), both, min(len(a), len(b)))


def _welch(a: Values, b: Values, side: Literal["greater", "less"]) -> float:
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        # No noise, and no test: the means are what they are.
        beyond = b[0] > a[0] if side == "greater" else b[0] < a[0]
        return 0.0 if beyond else 1.0
    # Of the figures: given the data, scipy warns of boots that are all the same.
    test = stats.ttest_ind_from_stats(
        b.mean(), b.std(ddof=1), len(b), a.mean(), a.std(ddof=1), len(a),
        equal_var=False, alternative=side,
    )  # fmt: skip
    return float(test.pvalue)


def _comparison(
    cells: Sequence[Compared], margin: float, nulls: int, failed: int
) -> Comparison:
    judged = holm([cell.judged for cell in cells])
    corrected = [replace(c, judged=j) for c, j in zip(cells, judged, strict=True)]
    return Comparison(
        margin=margin, cells=tuple(corrected), nulls=nulls, nulls_failed=failed
    )


def _spread(data: Values) -> float:
    return float(data.std(ddof=1) / data.mean() * 100) if len(data) > 1 else math.nan
