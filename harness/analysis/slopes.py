"""The cost of each additional VMA: a straight line through an arm's layouts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.analysis.processes import (
    BOOT,
    LEAST_BOOTS,
    PLACE,
    Place,
    place_of,
    processes,
)
from harness.analysis.stats import Interval, Line, line


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """The cost of each additional VMA; ``arm`` is unnamed, or the store of ``naming``.

    ``by_boot`` has a row per boot, and in it a cost for each VMA count in ``counts``.
    """

    place: Place
    metric: str
    arm: str
    naming: str
    vma_pages: int
    line: Line
    counts: tuple[int, ...]
    by_boot: tuple[tuple[float, ...], ...]

    @property
    def per_vma(self) -> Interval:
        """The cost of an additional VMA, in ``place.unit``."""
        boots = len(self.by_boot)
        is_range = self.place.exact or boots < LEAST_BOOTS
        kind = "range" if is_range else "bootstrap"
        return Interval(self.line.slope, self.line.low, self.line.high, boots, kind)

    @property
    def words(self) -> str:
        """The arm and its naming scheme, in a word or two."""
        return self.arm if self.arm == "unnamed" else f"{self.arm} {self.naming}"


def slopes(frame: pd.DataFrame, *, metric: str = "fork") -> list[Slope]:
    """The cost over VMA counts, for kernels measured with at least three counts.

    Uses layouts without written pages, and the longest names of each naming scheme and
    place.
    """
    table = processes(frame, metric).query("written_pages == 0")
    table["arm"] = np.where(table["naming"] == "none", "unnamed", table["store"])
    kinds = [*PLACE, "arm", "naming", "vma_pages"]
    longest = table.groupby(kinds)["name_length"].transform("max")
    found = []
    for key, rows in table[table["name_length"] == longest].groupby(kinds):
        grid = rows.pivot_table(
            index=BOOT, columns="vmas", values="value", aggfunc="mean"
        ).dropna()
        if grid.shape[1] < 3 or grid.empty:
            continue
        counts = tuple(int(count) for count in grid.columns)
        by_boot = tuple(tuple(row) for row in grid.to_numpy())
        place, (arm, naming, vma_pages) = place_of(key), key[-3:]
        found.append(
            Slope(
                place=place, metric=metric, arm=str(arm),
                naming=f"{naming}:{rows['name_length'].iloc[0]}",
                vma_pages=int(str(vma_pages)),
                line=line(counts, by_boot, exact=place.exact),
                counts=counts, by_boot=by_boot,
            )
        )  # fmt: skip
    return found
