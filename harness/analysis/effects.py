"""What names cost at fork: named minus unnamed inside one kernel, then store to store.

The boot is the unit of replication. Within a boot a cell is summarised by the
median of its forks: a timer tick makes a sample larger, never smaller, and
hits few. The effect is a difference within the boot; what is reported is the
median of the boots' effects, and how far the boots lie apart.
"""

from dataclasses import dataclass

import pandas as pd

from harness.analysis.frames import check_poolable, usable

# v8 of the series, cover letter (2021-08-27): fork of 64K named VMAs, in percent
# over unnamed, by pages written per VMA.
PUBLISHED_VMAS = 65_536
PUBLISHED_PERCENT = {
    0: {"strdup": 39.51, "refcounted": 12.16},
    1: {"strdup": 15.31, "refcounted": 6.52},
    10: {"strdup": 14.13, "refcounted": 5.39},
}

_CELL = ["base", "unit", "vmas", "vma_pages", "written_pages"]
_KERNEL = ["variant", "build_id"]
_NAMING = ["naming", "name_length", "store"]
_BOOT = ["session", "boot"]


def fork_effects(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each named cell of each kernel, from the samples of ``load``.

    Columns: base, unit, vmas, vma_pages, written_pages, variant, build_id,
    naming, name_length, store; boots (how many have both arms); in ``unit`` a
    fork: unnamed, named (medians over boots), unnamed_spread (largest minus
    smallest boot); extra_per_vma with extra_low and extra_high (median, smallest
    and largest boot); percent with percent_low and percent_high.

    Raises UsageError when the runs may not be pooled.
    """
    check_poolable(frame)
    forks = usable(frame, "fork")
    by_boot = (
        forks.groupby([*_CELL, *_KERNEL, *_NAMING, *_BOOT], dropna=False)["value"]
        .median()
        .reset_index()
    )
    named = by_boot[by_boot["naming"] != "none"].rename(columns={"value": "named"})
    unnamed = (
        by_boot[by_boot["naming"] == "none"]
        .drop(columns=_NAMING)
        .rename(columns={"value": "unnamed"})
    )
    pairs = named.merge(unnamed, on=[*_CELL, *_KERNEL, *_BOOT])
    pairs["extra"] = (pairs["named"] - pairs["unnamed"]) / pairs["vmas"]
    pairs["percent"] = (pairs["named"] / pairs["unnamed"] - 1) * 100
    return (
        pairs.groupby([*_CELL, *_KERNEL, *_NAMING], dropna=False)
        .agg(
            boots=("extra", "size"),
            unnamed=("unnamed", "median"),
            unnamed_spread=("unnamed", _spread),
            named=("named", "median"),
            extra_per_vma=("extra", "median"),
            extra_low=("extra", "min"),
            extra_high=("extra", "max"),
            percent=("percent", "median"),
            percent_low=("percent", "min"),
            percent_high=("percent", "max"),
        )
        .reset_index()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEffect:
    """What names cost in one store: median over boots, smallest and largest boot."""

    boots: int
    unnamed: float
    unnamed_spread: float
    extra: tuple[float, float, float]
    percent: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkRow:
    """One line of the table: a cell, in both stores where both were measured.

    ``kernels`` is the one kernel that holds both stores, or the kernels of one
    each. ``ratio`` is strdup's extra over refcount's; None without both, or when
    the latter is not above zero in every boot.
    """

    base: str
    unit: str
    kernels: tuple[str, ...]
    vmas: int
    written_pages: int
    naming: str
    strdup: StoreEffect | None
    refcounted: StoreEffect | None
    ratio: float | None
    published: dict[str, float] | None


def fork_table(frame: pd.DataFrame) -> list[ForkRow]:
    """The table of a campaign, in the order of base, kernels, pages, VMAs, naming."""
    effects = fork_effects(frame)
    # Two kernels of one store each stand side by side like the halves of one.
    stores = effects.groupby("variant")["store"].nunique()
    effects["family"] = [
        variant if stores[variant] > 1 else "" for variant in effects["variant"]
    ]
    keys = ["base", "unit", "family", "written_pages", "vmas", "naming", "name_length"]
    rows = []
    for _, cells in effects.groupby(keys):
        first = cells.iloc[0]
        by_store = {str(cell["store"]): _effect(cell) for _, cell in cells.iterrows()}
        rows.append(
            ForkRow(
                base=str(first["base"]),
                unit=str(first["unit"]),
                kernels=tuple(sorted(set(cells["variant"]))),
                vmas=int(first["vmas"]),
                written_pages=int(first["written_pages"]),
                naming=f"{first['naming']}:{first['name_length']}",
                strdup=by_store.get("strdup"),
                refcounted=by_store.get("refcounted"),
                ratio=_ratio(by_store.get("strdup"), by_store.get("refcounted")),
                published=_published(first),
            )
        )
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class UnnamedRow:
    """The unnamed fork of a kernel that was not measured named.

    ``unnamed`` is the median over boots, ``spread`` largest minus smallest boot.
    """

    base: str
    unit: str
    kernel: str
    vmas: int
    written_pages: int
    boots: int
    unnamed: float
    spread: float


def unnamed_table(frame: pd.DataFrame) -> list[UnnamedRow]:
    """The kernels that have no named cell: those without names, above all."""
    check_poolable(frame)
    forks = usable(frame, "fork")
    named = set(forks.loc[forks["naming"] != "none", "variant"])
    alone = forks[~forks["variant"].isin(named)]
    by_boot = alone.groupby([*_CELL, *_KERNEL, *_BOOT], dropna=False)["value"].median()
    cells = by_boot.reset_index().groupby([*_CELL, *_KERNEL], dropna=False)["value"]
    summary = cells.agg(["size", "median", _spread]).reset_index()
    return [
        UnnamedRow(
            base=str(cell["base"]),
            unit=str(cell["unit"]),
            kernel=str(cell["variant"]),
            vmas=int(cell["vmas"]),
            written_pages=int(cell["written_pages"]),
            boots=int(cell["size"]),
            unnamed=float(cell["median"]),
            spread=float(cell["_spread"]),
        )
        for _, cell in summary.iterrows()
    ]


def distrust(frame: pd.DataFrame) -> list[str]:
    """What a reader of the campaign's table should know against it, in words."""
    warnings = []
    boots = frame.groupby("variant")[_BOOT].apply(lambda f: len(f.drop_duplicates()))
    if single := sorted(boots[boots < 2].index):
        warnings.append(f"one boot only, so no spread is known: {', '.join(single)}")
    unfinished = frame.loc[~frame["run_valid"], "run"].nunique()
    if unfinished:
        warnings.append(f"{unfinished} runs did not end, or ended invalid: left out")
    invalid = frame[frame["run_valid"] & ~frame["valid"]]
    for reason, count in invalid["reason"].value_counts().items():
        warnings.append(f"{count} samples left out: {reason}")
    loose = int((~frame["fifo"]).sum())
    if loose:
        warnings.append(
            f"{loose} samples without SCHED_FIFO: others ran when they wanted"
        )
    return warnings


def _effect(cell: "pd.Series[float]") -> StoreEffect:
    return StoreEffect(
        boots=int(cell["boots"]),
        unnamed=float(cell["unnamed"]),
        unnamed_spread=float(cell["unnamed_spread"]),
        extra=(cell["extra_per_vma"], cell["extra_low"], cell["extra_high"]),
        percent=(cell["percent"], cell["percent_low"], cell["percent_high"]),
    )


def _ratio(strdup: StoreEffect | None, refcounted: StoreEffect | None) -> float | None:
    if strdup is None or refcounted is None or refcounted.extra[1] <= 0:
        return None
    return strdup.extra[0] / refcounted.extra[0]


def _published(cell: "pd.Series[float]") -> dict[str, float] | None:
    if int(cell["vmas"]) != PUBLISHED_VMAS:
        return None
    return PUBLISHED_PERCENT.get(int(cell["written_pages"]))


def _spread(values: "pd.Series[float]") -> float:
    return float(values.max() - values.min())
