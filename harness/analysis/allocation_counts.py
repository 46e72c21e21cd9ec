"""What kernels hold: the counts of ``anonvma audit``, as tidy frames.

``AllocationCounts`` is the object for users. ``load_counts`` has a row per number:

    column                  dtype   what
    variant, base, machine  str     the kernel, and where it ran
    vmas                    int64   VMAs of the cell
    naming, name_length     str, int64   how the VMAs are named
    step                    str     built, named, fork 1, fork 2, ...
    what                    str     allocated or freed (structs), or the bytes of a
                                    slab class (its objects)
    predicted, counted      int64   by the model; by the kernel
    agrees                  bool    whether they are equal; objects within one slab
"""

import os
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from harness.analysis.display.table import Table
from harness.analysis.plots.campaign_plots import plot_memory
from harness.analysis.records.frames import records_of
from harness.errors import UsageError
from harness.worker.measure import Count, Run

_OF_RUN = ("variant", "base", "machine", "vmas", "naming", "name_length")

_PLAIN = {
    "variant": "kernel",
    "base": "linux",
    "vmas": "VMAs",
    "name_length": "bytes of a name",
    "structs": "structs by one fork",
    "of bytes": "bytes of a struct",
    "bytes": "bytes by one fork",
}


class AllocationCounts:
    """What kernels hold for names, as counted and as the model predicts."""

    def __init__(self, counts: pd.DataFrame) -> None:
        self.counts = Table(counts)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "AllocationCounts":
        """A campaign of ``anonvma audit``: its folder, or its records.

        Raises as ``load_counts`` does.
        """
        return cls(load_counts(Path(path)))

    def memory(self) -> Table:
        """What one fork allocates for names, one row per kernel, machine and naming."""
        return Table(memory_table(self.counts).rename(columns=_PLAIN))

    def differences(self) -> Table:
        """The numbers that are not as predicted."""
        found = Table(self.counts[~self.counts["agrees"]])
        return found.shown_when_empty("Every number is as the model predicts.")

    def plot(self) -> Figure:
        """Bytes that one fork allocates for names, over their length."""
        return plot_memory(memory_table(self.counts))

    @property
    def answer(self) -> str:
        """What a fork allocates if names are shared or copied, in sentences."""
        memory = memory_table(self.counts)
        lines = []
        for variant, kernels in memory.groupby("variant", sort=False):
            sizes = sorted({kernels["bytes"].min(), kernels["bytes"].max()})
            lines.append(
                f"{variant}: a fork of {kernels['vmas'].max():,} named VMAs makes "
                f"{kernels['structs'].max():,} structs, "
                f"{' to '.join(f'{size:,}' for size in sizes)} bytes in all."
            )
        agree = int(self.counts["agrees"].sum())
        summary = (
            f"{agree:,} of {len(self.counts):,} numbers are as the model predicts."
        )
        return "\n".join([*lines, summary])

    def _repr_html_(self) -> str:
        return Table({"answer": self.answer.split("\n")})._repr_html_()

    def __repr__(self) -> str:
        return self.answer


def load_counts(path: Path) -> pd.DataFrame:
    """The counts of a campaign: its folder, or its records.

    Raises UsageError if there are none, RecordError for a line that is not a record.
    """
    path = path / "records.jsonl" if path.is_dir() else path
    if not path.exists():
        raise UsageError(f"there are no records at {path}")
    runs: dict[str, dict[str, object]] = {}
    rows = []
    for record in records_of(path):
        if isinstance(record, Run):
            runs[record.run] = {name: getattr(record, name) for name in _OF_RUN}
        elif isinstance(record, Count):
            rows.append({**runs[record.run], **asdict(record)})
    if not rows:
        raise UsageError(f"{path} has no counts: anonvma audit records them")
    frame = pd.DataFrame(rows).drop(columns="run")
    # Records of 0.3 call the audited kernels refcount-truth and strdup-truth.
    frame["variant"] = frame["variant"].str.replace("-(audit|truth)$", "", regex=True)
    return frame


def memory_table(counts: pd.DataFrame) -> pd.DataFrame:
    """What one fork allocates for names: structs, their slab class, bytes.

    One row per kernel, machine and naming scheme, for its last fork.
    """
    forks = counts[counts["step"].str.startswith("fork")]
    rows = []
    for keys, cell in forks.groupby(list(_OF_RUN), sort=True):
        last = cell[cell["step"] == cell["step"].iloc[-1]].set_index("what")
        classes = last.drop(index=["allocated", "freed"])
        used = classes[classes["predicted"] > 0]
        row = dict(zip(_OF_RUN, keys, strict=True))
        sizes = used.index.astype(int)
        row["structs"] = int(last.loc["allocated", "counted"])
        row["of bytes"] = int(sizes[0]) if len(sizes) else 0
        row["bytes"] = int((sizes * used["counted"]).sum())
        row["bytes predicted"] = int((sizes * used["predicted"]).sum())
        rows.append(row)
    return pd.DataFrame(rows)
