"""What names cost: named minus unnamed within one kernel, boot and block.

``cell_effects`` computes every effect that is shown anywhere; tables, mails, pages,
JSON and notebooks only format it. Processes are paired within a block, and the median
of its blocks stands for a boot. ``stats.estimate`` summarises the boots: for a clock
of time, the mean with a bootstrap-t interval; for the instruction clock, the median
with the range of the boots.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from harness.analysis.aa_check import holding_layouts
from harness.analysis.processes import (
    ARM,
    BOOT,
    LAYOUT,
    PLACE,
    Arm,
    Place,
    arm_of,
    arm_values,
    place_of,
    processes,
)
from harness.analysis.stats import (
    Interval,
    Judged,
    Values,
    estimate,
    exact_range,
    holm,
    judge_on,
    ratio_of_means,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What the names of an arm cost, for one metric.

    ``extra`` is named - unnamed per VMA, in ``place.unit``; ``percent`` is named -
    unnamed in percent of unnamed. ``unnamed`` and ``named`` are whole calls, in
    ``place.unit``. The tuples have one number per boot, in the order of ``boots``
    (session, boot). ``trusted`` is whether the A/A check of its layout held.
    """

    place: Place
    metric: str
    arm: Arm
    unnamed: Interval
    named: Interval
    extra: Interval
    percent: Interval
    boots: tuple[tuple[str, int], ...]
    unnamed_by_boot: tuple[float, ...]
    named_by_boot: tuple[float, ...]
    extra_by_boot: tuple[float, ...]
    percent_by_boot: tuple[float, ...]
    judged: Judged
    trusted: bool


def cell_effects(
    frame: pd.DataFrame, *, margin: float, metric: str = "fork"
) -> list[Effect]:
    """The effect of every named arm, judged against ``margin`` percent.

    Sorted by place and arm. Verdicts are corrected (Holm) for the number of cells of
    each place. Empty for metrics that unnamed processes do not have; ``cell_costs``
    covers those. Raises UsageError if runs cannot be pooled.
    """
    table = processes(frame, metric)
    blocks = arm_values(table)
    unnamed = blocks[blocks["naming"] == "none"]
    block = [*PLACE, *LAYOUT, *BOOT, "block"]
    pairs = blocks[blocks["naming"] != "none"].merge(
        unnamed[[*block, "value"]].rename(columns={"value": "unnamed"}), on=block
    )
    pairs["percent"] = (pairs["value"] / pairs["unnamed"] - 1) * 100
    pairs["extra"] = (pairs["value"] - pairs["unnamed"]) / pairs["vmas"]
    figures = ["unnamed", "value", "extra", "percent"]
    boots = pairs.groupby([*PLACE, *ARM, *BOOT])[figures].median().reset_index()
    held = holding_layouts(table, margin=margin)
    found = [
        _effect(place_of(key), arm_of(key), metric, rows, margin, held)
        for key, rows in boots.groupby([*PLACE, *ARM])
    ]
    return _corrected(found)


def _effect(
    place: Place,
    arm: Arm,
    metric: str,
    rows: pd.DataFrame,
    margin: float,
    held: dict[tuple[Place, tuple[int, int, int]], bool],
) -> Effect:
    percent = rows["percent"].to_numpy(dtype=float)

    def over_boots(column: str) -> Interval:
        return estimate(rows[column].to_numpy(dtype=float), exact=place.exact)

    return Effect(
        place=place, metric=metric, arm=arm,
        unnamed=over_boots("unnamed"), named=over_boots("value"),
        extra=over_boots("extra"), percent=over_boots("percent"),
        boots=tuple(zip(rows["session"], rows["boot"], strict=True)),
        unnamed_by_boot=tuple(map(float, rows["unnamed"])),
        named_by_boot=tuple(map(float, rows["value"])),
        extra_by_boot=tuple(map(float, rows["extra"])),
        percent_by_boot=tuple(map(float, percent)),
        judged=judge_on(percent, margin, exact=place.exact),
        trusted=held.get((place, arm.layout), False),
    )  # fmt: skip


def _corrected(found: list[Effect]) -> list[Effect]:
    result = list(found)
    for place in {effect.place for effect in found}:
        at = [i for i, effect in enumerate(found) if effect.place == place]
        for i, judged in zip(at, holm([found[i].judged for i in at]), strict=True):
            result[i] = replace(found[i], judged=judged)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """How many times less the names of ``arm`` cost if they are shared, not copied."""

    place: Place
    arm: Arm
    times: Interval


def reductions(found: Sequence[Effect]) -> list[Reduction]:
    """The reduction of every cell that one kernel measured with both stores.

    A cell without a ratio (see ``reduction``) is left out. ``arm`` is the shared one.
    """
    copied = {_cell(e): e for e in found if e.arm.store == "strdup"}
    result = []
    for shared in (e for e in found if e.arm.store == "refcounted"):
        if (other := copied.get(_cell(shared))) is None:
            continue
        if (times := reduction(other, shared)) is not None:
            result.append(Reduction(place=shared.place, arm=shared.arm, times=times))
    return result


def reduction(copied: Effect, shared: Effect) -> Interval | None:
    """How many times less ``shared`` costs than ``copied``, in percent of unnamed.

    If one kernel has both, the ratio pairs the boots that have both. None if sharing
    may cost nothing: if some boot says so (instructions), or if the ratio has no finite
    interval (time).
    """
    paired = copied.place == shared.place
    above, below = map(np.asarray, (copied.percent_by_boot, shared.percent_by_boot))
    if paired:
        above, below = _of_same_boots(copied, shared)
    if not shared.place.exact:
        return ratio_of_means(above, below, paired=paired)
    if not len(below) or (below <= 0).any():
        return None
    if paired:
        return exact_range(above / below)
    middle = float(np.median(above) / np.median(below))
    low, high = above.min() / below.max(), above.max() / below.min()
    boots = min(len(above), len(below))
    return Interval(middle, float(low), float(high), boots, "range")


def _cell(effect: Effect) -> tuple[str, Place, Arm]:
    return effect.metric, effect.place, replace(effect.arm, store="any")


def _of_same_boots(*sides: Effect) -> list[Values]:
    by_boot = [dict(zip(e.boots, e.percent_by_boot, strict=True)) for e in sides]
    common = [boot for boot in by_boot[0] if all(boot in side for side in by_boot)]
    return [np.array([side[boot] for boot in common]) for side in by_boot]
