"""The A/A check: two identical arms of a layout, measured like any other two.

Their difference is the noise floor: a smaller effect cannot be distinguished from
zero. If a metric has unnamed processes, the arms are the two unnamed processes of a
block. If only named processes have it (naming, renaming), they are two processes of
the same named arm, from neighbouring blocks of a boot.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from harness.analysis.processes import (
    ARM,
    BOOT,
    PLACE,
    Arm,
    Place,
    arm_of,
    place_of,
    processes,
    unnamed_of,
)
from harness.analysis.stats import (
    Interval,
    Values,
    Verdict,
    estimate,
    judge,
    judge_exact,
)

# On the instruction clock, identical arms must differ by at most this part of the
# margin; on a clock of time, by at most the margin.
EXACT_PART = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class AACheck:
    """Two identical arms of a layout: their difference in percent, and the result.

    ``by_boot`` has one percentage for each boot.
    """

    place: Place
    metric: str
    arm: Arm
    percent: Interval
    by_boot: tuple[float, ...]
    holds: bool


def aa_checks(
    frame: pd.DataFrame, *, margin: float, metric: str = "fork"
) -> list[AACheck]:
    """The A/A check of every layout of every kernel, for one metric.

    On the instruction clock it holds if all boots differ by at most ``EXACT_PART`` of
    ``margin`` percent. On a clock of time it holds if the estimated difference is
    within the margin and no test shows a larger one. A layout without two identical
    processes has no check.
    """
    return _checks(processes(frame, metric), margin=margin, metric=metric)


def checks_of(checks: Sequence[AACheck], place: Place, arm: Arm) -> list[AACheck]:
    """The checks that cover an arm: of its unnamed layout, or of the arm itself.

    Do not trust an arm that has no check, or one that does not hold.
    """
    return [
        check
        for check in checks
        if check.place == place
        and check.arm.layout == arm.layout
        and check.arm in (arm, unnamed_of(arm))
    ]


def holding_layouts(
    table: pd.DataFrame, *, margin: float
) -> dict[tuple[Place, tuple[int, int, int]], bool]:
    """Whether all checks of a layout hold, by place and layout.

    ``table`` comes from ``processes``.
    """
    held: dict[tuple[Place, tuple[int, int, int]], bool] = {}
    for check in _checks(table, margin=margin, metric=""):
        key = (check.place, check.arm.layout)
        held[key] = held.get(key, True) and check.holds
    return held


def _checks(table: pd.DataFrame, *, margin: float, metric: str) -> list[AACheck]:
    pairs = _pairs(table)
    pairs["percent"] = (pairs["last"] / pairs["first"] - 1) * 100
    boots = pairs.groupby([*PLACE, *ARM, *BOOT])["percent"].median().reset_index()
    checks = []
    for key, rows in boots.groupby([*PLACE, *ARM]):
        place, values = place_of(key), rows["percent"].to_numpy(dtype=float)
        checks.append(
            AACheck(
                place=place, metric=metric, arm=arm_of(key),
                percent=estimate(values, exact=place.exact),
                by_boot=tuple(map(float, values)),
                holds=_holds(values, margin, exact=place.exact),
            )
        )  # fmt: skip
    return checks


def _pairs(table: pd.DataFrame) -> pd.DataFrame:
    """The first and the last value of every pair of identical processes."""
    unnamed = table[table["naming"] == "none"].assign(store="any")
    if len(unnamed) or table.empty:
        arms, pair = unnamed, unnamed["block"]
    else:
        # The first and the second block of a boot, the third and the fourth, ...
        arms, pair = table, table["block"] // 2
    keys = [*PLACE, *ARM, *BOOT, "pair"]
    arms = arms.assign(pair=pair).sort_values(["block", "position"])
    found = arms.groupby(keys)["value"].agg(["first", "last", "size"]).reset_index()
    return found[found["size"] >= 2]


def _holds(values: Values, margin: float, *, exact: bool) -> bool:
    if exact:
        return judge_exact(values, EXACT_PART * margin).verdict is Verdict.EQUIVALENT
    # Only a proven difference fails the check, not one that is merely possible.
    shown = judge(values, margin).verdict in (Verdict.REGRESSED, Verdict.IMPROVED)
    return not shown and abs(estimate(values, exact=False).value) <= margin
