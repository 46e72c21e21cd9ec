"""How noisy samples are: their spread, outliers and drift."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.analysis.processes import ARM, PLACE, Arm, Place, arm_of, place_of
from harness.analysis.records.frames import usable
from harness.analysis.stats import drifts, outliers


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The samples of a cell for one metric; ``median`` is in ``place.unit``.

    ``spread`` is how far the largest lies above the smallest, in percent. ``above``
    counts samples that exceed the median by more than 0.1 %: on the instruction clock,
    a timer tick hit them. ``drifting`` counts processes whose samples rise or fall in
    the order they were measured.
    """

    place: Place
    metric: str
    arm: Arm
    samples: int
    median: float
    spread: float
    above: int
    outliers: int
    processes: int
    drifting: int


def cell_noise(frame: pd.DataFrame, metric: str = "fork") -> list[Noise]:
    """The noise of every cell, sorted by place and arm."""
    found = []
    for key, samples in usable(frame, metric).groupby([*PLACE, *ARM], observed=True):
        values = samples["value"].to_numpy(dtype=float)
        median = float(np.median(values))
        runs = samples.sort_values("order").groupby("run", observed=True)["value"]
        found.append(
            Noise(
                place=place_of(key), metric=metric, arm=arm_of(key),
                samples=len(values), median=median,
                spread=float(values.max() / values.min() - 1) * 100,
                above=int((values > median * 1.001).sum()),
                outliers=outliers(values), processes=len(runs),
                drifting=sum(drifts(run.to_numpy(dtype=float)) for _, run in runs),
            )
        )  # fmt: skip
    return found
