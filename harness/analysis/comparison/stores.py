"""Compares copied with shared names, for metrics that only named processes have.

Naming and renaming have no unnamed process to compare with. If one kernel has both
stores, the two are compared with each other, paired within boot and block like effects.
"""

from dataclasses import dataclass, replace

import pandas as pd

from harness.analysis.aa_check import AACheck, aa_checks, checks_of
from harness.analysis.processes import (
    ARM,
    BOOT,
    PLACE,
    Arm,
    Place,
    arm_of,
    arm_values,
    place_of,
    processes,
)
from harness.analysis.stats import Interval, Judged, estimate, holm, judge_on

SHARED, COPIED = "refcounted", "strdup"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChange:
    """How much more a metric costs with copied names than with shared ones.

    ``arm`` is the copied one; ``percent`` is copied - shared in percent of shared.
    The tuples have one number per boot. ``trusted`` is whether the A/A checks of both
    arms exist and hold.
    """

    place: Place
    metric: str
    arm: Arm
    shared: Interval
    copied: Interval
    percent: Interval
    shared_by_boot: tuple[float, ...]
    copied_by_boot: tuple[float, ...]
    judged: Judged
    trusted: bool


def store_changes(
    frame: pd.DataFrame, *, margin: float, metric: str
) -> list[StoreChange]:
    """Every cell that a kernel has in both stores, judged against ``margin`` percent.

    Verdicts are corrected (Holm) for the number of cells of each place. Raises
    UsageError if runs cannot be pooled.
    """
    blocks = arm_values(processes(frame, metric))
    keys = [*PLACE, *(name for name in ARM if name != "store"), *BOOT, "block"]
    shared = blocks[blocks["store"] == SHARED]
    pairs = blocks[blocks["store"] == COPIED].merge(
        shared[[*keys, "value"]].rename(columns={"value": "shared"}), on=keys
    )
    pairs["percent"] = (pairs["value"] / pairs["shared"] - 1) * 100
    figures = ["shared", "value", "percent"]
    boots = pairs.groupby([*PLACE, *ARM, *BOOT])[figures].median().reset_index()
    checks = aa_checks(frame, margin=margin, metric=metric)
    found = [
        _change(place_of(key), arm_of(key), metric, rows, margin, checks)
        for key, rows in boots.groupby([*PLACE, *ARM])
    ]
    return _corrected(found)


def shared_of(arm: Arm) -> Arm:
    """The arm that keeps the same names shared."""
    return replace(arm, store=SHARED)


def _change(
    place: Place,
    arm: Arm,
    metric: str,
    rows: pd.DataFrame,
    margin: float,
    checks: list[AACheck],
) -> StoreChange:
    def over_boots(column: str) -> Interval:
        return estimate(rows[column].to_numpy(dtype=float), exact=place.exact)

    about = [checks_of(checks, place, each) for each in (arm, shared_of(arm))]
    percent = rows["percent"].to_numpy(dtype=float)
    return StoreChange(
        place=place, metric=metric, arm=arm,
        shared=over_boots("shared"), copied=over_boots("value"),
        percent=over_boots("percent"),
        shared_by_boot=tuple(map(float, rows["shared"])),
        copied_by_boot=tuple(map(float, rows["value"])),
        judged=judge_on(percent, margin, exact=place.exact),
        trusted=all(each and all(c.holds for c in each) for each in about),
    )  # fmt: skip


def _corrected(found: list[StoreChange]) -> list[StoreChange]:
    result = list(found)
    for place in {change.place for change in found}:
        at = [i for i, change in enumerate(found) if change.place == place]
        for i, judged in zip(at, holm([found[i].judged for i in at]), strict=True):
            result[i] = replace(found[i], judged=judged)
    return result
