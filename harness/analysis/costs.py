"""The cost of a call in one arm, without a baseline to subtract.

For metrics that only named processes have (naming, renaming), and for kernels that
were measured without names only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from harness.analysis.aa_check import aa_checks, checks_of
from harness.analysis.processes import (
    ARM,
    PLACE,
    Arm,
    Place,
    arm_of,
    arm_values,
    place_of,
    processes,
)
from harness.analysis.stats import Interval, estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A metric in one arm: ``total`` in ``place.unit``, and the same ``per_vma``.

    ``by_boot`` has the total of each boot. ``alike`` is whether two identical arms
    measured the same; None if there is no such pair.
    """

    place: Place
    metric: str
    arm: Arm
    total: Interval
    per_vma: Interval
    by_boot: tuple[float, ...]
    alike: bool | None

    @property
    def trusted(self) -> bool:
        """Whether identical arms were measured, and measured the same."""
        return bool(self.alike)


def cell_costs(
    frame: pd.DataFrame, *, margin: float, metric: str = "fork"
) -> list[Cost]:
    """The cost of every arm, including unnamed ones, sorted by place and arm.

    Boots are summarised as for effects. Raises UsageError if runs cannot be pooled.
    """
    boots = arm_values(processes(frame, metric), within="boot")
    checks = aa_checks(frame, margin=margin, metric=metric)
    found = []
    for key, rows in boots.groupby([*PLACE, *ARM]):
        place, arm = place_of(key), arm_of(key)
        values = rows["value"].to_numpy(dtype=float)
        own_checks = checks_of(checks, place, arm)
        found.append(
            Cost(
                place=place, metric=metric, arm=arm,
                total=estimate(values, exact=place.exact),
                per_vma=estimate(values / arm.vmas, exact=place.exact),
                by_boot=tuple(map(float, values)),
                alike=all(c.holds for c in own_checks) if own_checks else None,
            )
        )  # fmt: skip
    return found


def unnamed_only(costs: Sequence[Cost]) -> list[Cost]:
    """The costs of kernels without a named cell, such as the variant ``none``."""
    named = {cost.place for cost in costs if cost.arm.named}
    return [cost for cost in costs if cost.place not in named]
