"""What names cost at fork: named minus unnamed inside one kernel, then store to store.

The boot is the unit of replication. Within one, a process is one quantile of its
forks (see ``processes``).

Named and unnamed processes are paired within a block; a boot's effect is the
median of its blocks', what is reported is the median of the boots'. How sure
that is: for instructions, how far the furthest boot lies; for time, a 95 %
interval from resampling the boots (percentile bootstrap: B. Efron, 1979), of
fewer than ``LEAST_BOOTS`` their range.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.analysis.frames import impossible, plain
from harness.analysis.processes import (
    BOOT,
    LAYOUT,
    LEAST_BOOTS,
    NAMING,
    PLACE,
    processes,
)
from harness.pooling import KERNEL, MUST_MATCH

# v8 of the series, cover letter (2021-08-27): fork of 64K named VMAs, in percent
# over unnamed, by pages written per VMA.
PUBLISHED_VMAS = 65_536
PUBLISHED_PERCENT = {
    0: {"strdup": 39.51, "refcounted": 12.16},
    1: {"strdup": 15.31, "refcounted": 6.52},
    10: {"strdup": 14.13, "refcounted": 5.39},
}

_RESAMPLES = 2000
_SEED = 20210827

_PLACE = [name for name in PLACE if name != "variant"]
_CELL = [*_PLACE, *LAYOUT]
_KERNEL = ["variant", "build_id"]
# What the tables here, and ``distrust``, look at.
TABLE_COLUMNS = (
    *KERNEL, *MUST_MATCH, *_CELL, *_KERNEL, *NAMING, *BOOT, "block", "position",
    "metric", "value", "warmup", "valid", "reason", "run_valid", "run", "fifo",
)  # fmt: skip


def fork_effects(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each named cell of each kernel, from the samples of ``load``.

    Columns: base, target, machine, accelerator, unit, vmas, vma_pages,
    written_pages, variant, build_id, store, naming, name_length; boots (how many
    have both arms); in ``unit`` a fork: unnamed, named (medians over boots),
    unnamed_spread (from the median to the furthest boot); extra_per_vma with extra_low
    and extra_high, percent with percent_low and percent_high (median over boots,
    and the ends of its range or interval).

    Raises UsageError when the runs may not be pooled.
    """
    by_block = _by_block(frame)
    named = by_block[by_block["naming"] != "none"]
    named = named.rename(columns={"value": "named"})
    unnamed = by_block[by_block["naming"] == "none"].drop(columns=NAMING)
    unnamed = unnamed.rename(columns={"value": "unnamed"})
    pairs = named.merge(unnamed, on=[*_CELL, *_KERNEL, *BOOT, "block"])
    pairs["extra"] = (pairs["named"] - pairs["unnamed"]) / pairs["vmas"]
    pairs["percent"] = (pairs["named"] / pairs["unnamed"] - 1) * 100
    keys = [*_CELL, *_KERNEL, *NAMING]
    boots = pairs.groupby([*keys, *BOOT], dropna=False)[
        ["named", "unnamed", "extra", "percent"]
    ].median()
    rows = [
        {**dict(zip(keys, key, strict=True)), **_over_boots(cell, str(key[4]))}
        for key, cell in boots.groupby(keys, dropna=False)
    ]
    columns = [*keys, *_over_boots(boots, "insns")] if rows else keys
    return pd.DataFrame(rows, columns=columns)


def _by_block(frame: pd.DataFrame) -> pd.DataFrame:
    """What a cell's processes of a block take: their mean.

    Of two unnamed processes the quantile of all forks would be the faster one's.
    """
    keys = [*_CELL, *_KERNEL, *NAMING, *BOOT, "block"]
    values = processes(frame).groupby(keys, dropna=False)["value"].mean()
    return values.reset_index()


def _over_boots(boots: pd.DataFrame, unit: str) -> dict[str, float]:
    extra, percent = boots["extra"], boots["percent"]
    extra_low, extra_high = _range_of(extra, unit)
    percent_low, percent_high = _range_of(percent, unit)
    return {
        "boots": len(boots),
        "unnamed": boots["unnamed"].median(),
        "unnamed_spread": _spread(boots["unnamed"]),
        "named": boots["named"].median(),
        "extra_per_vma": extra.median(),
        "extra_low": extra_low,
        "extra_high": extra_high,
        "percent": percent.median(),
        "percent_low": percent_low,
        "percent_high": percent_high,
    }


def _range_of(values: "pd.Series[float]", unit: str) -> tuple[float, float]:
    if unit == "insns" or len(values) < LEAST_BOOTS:
        return float(values.min()), float(values.max())
    resampled = np.random.default_rng(_SEED).choice(
        values.to_numpy(), (_RESAMPLES, len(values))
    )
    low, high = np.quantile(np.median(resampled, axis=1), (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEffect:
    """What names cost in one store: median over boots, ends of range or interval."""

    boots: int
    unnamed: float
    unnamed_spread: float
    extra: tuple[float, float, float]
    percent: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkRow:
    """One line of the table: a cell, in both stores where both were measured.

    ``kernels`` is the one kernel that holds both stores, or two of one store each.
    ``ratio`` is strdup's extra over refcount's; None without both, or when
    the latter is not above zero in every boot.
    """

    base: str
    target: str
    machine: str
    accelerator: str
    unit: str
    kernels: tuple[str, ...]
    vmas: int
    vma_pages: int
    written_pages: int
    naming: str
    strdup: StoreEffect | None
    refcounted: StoreEffect | None
    ratio: float | None
    published: dict[str, float] | None


def fork_table(frame: pd.DataFrame) -> list[ForkRow]:
    """The table of a campaign, in the order of base, kernels, pages, VMAs, naming."""
    effects = fork_effects(frame)
    effects["family"] = _families(effects)
    keys = [
        *_PLACE, "family", "written_pages", "vmas", "naming", "name_length",
        "vma_pages",
    ]  # fmt: skip
    rows = []
    for _, cells in effects.groupby(keys):
        first = cells.iloc[0]
        by_store = {str(cell["store"]): _effect(cell) for _, cell in cells.iterrows()}
        rows.append(
            ForkRow(
                base=str(first["base"]),
                target=str(first["target"]),
                machine=str(first["machine"]),
                accelerator=str(first["accelerator"]),
                unit=str(first["unit"]),
                kernels=tuple(sorted(set(cells["variant"]))),
                vmas=int(first["vmas"]),
                vma_pages=int(first["vma_pages"]),
                written_pages=int(first["written_pages"]),
                naming=f"{first['naming']}:{first['name_length']}",
                strdup=by_store.get("strdup"),
                refcounted=by_store.get("refcounted"),
                ratio=_ratio(by_store.get("strdup"), by_store.get("refcounted")),
                published=_published(first),
            )
        )
    return rows


def _families(effects: pd.DataFrame) -> list[str]:
    """Of each row, what stands in one table: nothing, or a kernel by itself.

    Two kernels of one store each stand side by side like the halves of one that
    has both; where two of a place have the same store, each is by itself.
    """
    place = [effects[name] for name in _PLACE]
    stores = effects.groupby([*place, effects["variant"]])["store"]
    both = stores.transform("nunique") > 1
    rivals = effects.assign(both=both).groupby([*place, both, effects["store"]])
    alone = both | (rivals["variant"].transform("nunique") > 1)
    return [
        str(variant) if by_itself else ""
        for variant, by_itself in zip(effects["variant"], alone, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnnamedRow:
    """The unnamed fork of a kernel that was not measured named.

    ``unnamed`` is the median over boots, ``spread`` from there to the furthest.
    """

    base: str
    target: str
    machine: str
    unit: str
    kernel: str
    vmas: int
    vma_pages: int
    written_pages: int
    boots: int
    unnamed: float
    spread: float


def unnamed_table(frame: pd.DataFrame) -> list[UnnamedRow]:
    """The kernels that have no named cell: those without names, above all."""
    blocks = _by_block(frame)
    places = [*_PLACE, *_KERNEL]
    named = blocks.loc[blocks["naming"] != "none", places].drop_duplicates()
    alone = blocks.merge(named, on=places, how="left", indicator=True)
    alone = alone[alone["_merge"] == "left_only"]
    by_boot = alone.groupby([*_CELL, *_KERNEL, *BOOT], dropna=False)["value"].median()
    cells = by_boot.reset_index().groupby([*_CELL, *_KERNEL], dropna=False)["value"]
    summary = cells.agg(["size", "median", _spread]).reset_index()
    return [
        UnnamedRow(
            base=str(cell["base"]),
            target=str(cell["target"]),
            machine=str(cell["machine"]),
            unit=str(cell["unit"]),
            kernel=str(cell["variant"]),
            vmas=int(cell["vmas"]),
            vma_pages=int(cell["vma_pages"]),
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
    boots = plain(frame[[*PLACE, *BOOT]].drop_duplicates()).groupby(PLACE).size()
    if single := sorted(map(_place_words, boots[boots < 2].index)):
        shown = ", ".join(single)
        warnings.append(f"one boot only, so no spread is known: {shown}")
    unfinished = frame.loc[~frame["run_valid"], "run"].nunique()
    if unfinished:
        warnings.append(f"{unfinished} runs did not end, or ended invalid: left out")
    invalid = frame[frame["run_valid"] & ~frame["valid"]]
    for reason, count in plain(invalid[["reason"]])["reason"].value_counts().items():
        warnings.append(f"{count} samples left out: {reason}")
    if odd := int((impossible(frame) & frame["run_valid"] & frame["valid"]).sum()):
        warnings.append(
            f"{odd} samples left out: they cannot be (a cost below 1 or beyond 2^53, "
            "no VMAs, or names on a kernel without)"
        )
    loose = int((~frame["fifo"]).sum())
    if loose:
        warnings.append(
            f"{loose} samples without SCHED_FIFO: others ran when they wanted"
        )
    if ((frame["target"] == "uml") & (frame["written_pages"] > 0)).any():
        warnings.append(
            "written pages of User-Mode Linux go through its own address-space code: "
            "they do not stand for other machines"
        )
    return warnings


def _place_words(place: tuple[str, ...]) -> str:
    at = dict(zip(PLACE, place, strict=True))
    return (
        f"{at['variant']} (linux {at['base']}, {at['target']} {at['machine']}, "
        f"{at['accelerator']}, {at['unit']})"
    )


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
    return float((values - values.median()).abs().max())
