"""A process of a cell as one number, which is what every table and answer begins with.

It is one quantile of its samples. Of instructions it is the median: a timer tick
makes a sample larger, never smaller, and hits few. Of time it is the first decile:
whatever else a machine does makes a fork slower, never faster, and hits many.
"""

import pandas as pd

from harness.analysis.frames import check_poolable, plain, usable

PLACE = ["base", "target", "machine", "accelerator", "unit", "variant"]
LAYOUT = ["vmas", "vma_pages", "written_pages"]
NAMING = ["store", "naming", "name_length"]
BOOT = ["session", "boot"]
# Fewer boots have no interval: with five, even their whole range covers a median
# in 94 of 100 cases only.
LEAST_BOOTS = 6

# By unit.
_QUANTILE = {"insns": 0.5, "ns": 0.1}
_PROCESS = [*PLACE, "build_id", *LAYOUT, *NAMING, *BOOT, "block", "position", "run"]


def pages_words(written_pages: int, vma_pages: int) -> str:
    """Pages written in each VMA: ``1``, or ``0/4`` where it has others besides."""
    if vma_pages == max(1, written_pages):
        return str(written_pages)
    return f"{written_pages}/{vma_pages}"


def processes(frame: pd.DataFrame, metric: str = "fork") -> pd.DataFrame:
    """One row a process, from the samples of ``load``: what it is, and ``value``.

    Columns: base, target, machine, accelerator, unit, variant, build_id, vmas,
    vma_pages, written_pages, store, naming, name_length, session, boot, block,
    position, run; value in ``unit``. Raises UsageError when runs may not be pooled.
    """
    check_poolable(frame)
    parts = [
        samples.groupby(_PROCESS, dropna=False)["value"]
        .quantile(_QUANTILE[str(unit)], interpolation="nearest")
        .reset_index()
        for unit, samples in usable(frame, metric).groupby("unit")
    ]
    return (
        pd.concat(map(plain, parts))
        if parts
        else pd.DataFrame(columns=[*_PROCESS, "value"])
    )
