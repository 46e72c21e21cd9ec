"""Summarises a process as one number, the input of every table; describes its arm.

The number is a quantile of the process's samples. For instructions it is the median,
because timer ticks make a few samples larger, never smaller. For time it is the first
decile, because other load makes many samples slower, never faster.
"""

from dataclasses import dataclass, replace

import pandas as pd

from harness.analysis.records.frames import check_poolable, plain, usable

PLACE = ["base", "target", "machine", "accelerator", "unit", "variant"]
LAYOUT = ["vmas", "vma_pages", "written_pages"]
NAMING = ["store", "naming", "name_length"]
ARM = [*LAYOUT, *NAMING]
BOOT = ["session", "boot"]
# Fewer boots have no interval: with five, even their whole range covers the median
# in only 94 of 100 cases.
LEAST_BOOTS = 6

# By unit.
_QUANTILE = {"insns": 0.5, "ns": 0.1}
_PROCESS = [*PLACE, "build_id", *ARM, *BOOT, "block", "position", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A kernel, where it ran, and on which clock: ``unit`` is insns or ns."""

    base: str
    target: str
    machine: str
    accelerator: str
    unit: str
    variant: str

    @property
    def exact(self) -> bool:
        """Whether its clock counts instructions."""
        return self.unit == "insns"

    @property
    def words(self) -> str:
        """The place in one line."""
        return (
            f"linux {self.base} {self.variant}, {self.target} {self.machine} "
            f"({self.accelerator}), {self.unit}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A layout, and how its VMAs are named: identical processes share an arm.

    An unnamed arm has the naming "none" and the store "any", because the store does
    not matter without names.
    """

    vmas: int
    vma_pages: int
    written_pages: int
    store: str
    naming: str
    name_length: int

    @property
    def named(self) -> bool:
        """Whether its VMAs have names."""
        return self.naming != "none"

    @property
    def layout(self) -> tuple[int, int, int]:
        """VMAs, pages of each, and how many of those are written."""
        return self.vmas, self.vma_pages, self.written_pages

    @property
    def pages(self) -> str:
        """Pages written per VMA: ``1``, or ``0/4`` if a VMA has more pages."""
        if self.vma_pages == max(1, self.written_pages):
            return str(self.written_pages)
        return f"{self.written_pages}/{self.vma_pages}"

    @property
    def names(self) -> str:
        """The naming scheme as users write it: ``distinct:79`` or ``none``."""
        return f"{self.naming}:{self.name_length}" if self.named else "none"

    @property
    def layout_words(self) -> str:
        """The layout in words."""
        return f"{self.vmas} VMAs, {self.pages} pages"

    @property
    def words(self) -> str:
        """The arm in words."""
        naming = f"{self.store}, {self.names}" if self.named else "unnamed"
        return f"{self.layout_words}, {naming}"


def time_first(place: Place) -> tuple[bool, str]:
    """Sort key for showing places: clocks of time come first."""
    return place.exact, place.words


def unnamed_of(arm: Arm) -> Arm:
    """The unnamed arm of the same layout."""
    return replace(arm, store="any", naming="none", name_length=0)


def processes(frame: pd.DataFrame, metric: str = "fork") -> pd.DataFrame:
    """One row per process, from the samples of ``load``: its facts, and ``value``.

    Columns: base, target, machine, accelerator, unit, variant, build_id, vmas,
    vma_pages, written_pages, store, naming, name_length, session, boot, block,
    position, run; value in ``unit``. Raises UsageError if runs cannot be pooled.
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


def arm_values(table: pd.DataFrame, *, within: str = "block") -> pd.DataFrame:
    """One row per block and arm, from ``processes``: the mean of its processes.

    The two unnamed processes are not pooled, because a low quantile of their pooled
    samples would be that of the faster process. With ``within`` "boot" there is one
    row per boot and arm: the median of its blocks.
    """
    table = table.copy()
    table.loc[table["naming"] == "none", "store"] = "any"
    keys = [*PLACE, *ARM, *BOOT]
    blocks = table.groupby([*keys, "block"])["value"].mean()
    if within == "block":
        return blocks.reset_index()
    return blocks.groupby(keys).median().reset_index()


def place_of(key: tuple[object, ...]) -> Place:
    """The place of a group whose keys begin with ``PLACE``."""
    return Place(**dict(zip(PLACE, map(str, key[: len(PLACE)]), strict=True)))


def arm_of(key: tuple[object, ...]) -> Arm:
    """The arm of a group whose keys are ``PLACE`` and ``ARM``."""
    vmas, vma_pages, written, store, naming, length = map(str, key[len(PLACE) :][:6])
    return Arm(
        vmas=int(vmas), vma_pages=int(vma_pages), written_pages=int(written),
        store=store, naming=naming, name_length=int(length),
    )  # fmt: skip
