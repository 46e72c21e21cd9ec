"""A campaign's answers: effects with intervals and verdicts, and the A/A null.

What is said of a cell is its named processes against the unnamed ones of the
same kernel, boot and block; a boot is summarised by the median over its blocks,
and resampled. On the clock that counts instructions ranges are given and
nothing is tested; on the clock that takes time, bootstrap intervals, t-tests
against the margin, and Holm's correction over the cells of a kernel.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from harness.analysis.processes import (
    BOOT,
    LAYOUT,
    NAMING,
    PLACE,
    pages_words,
    processes,
)
from harness.analysis.stats import (
    Interval,
    Judged,
    Line,
    Values,
    Verdict,
    exact_range,
    holm,
    interval,
    judge,
    judge_exact,
    line,
    ratio_of_means,
)

# Two identical arms of the instruction clock must lie within this part of the
# margin; of time, within all of it.
EXACT_NULL = 0.25


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
class Answer:
    """A cell: what its names cost, in ``unit`` a VMA and in percent of unnamed.

    ``by_boot`` has one percentage a boot, of each of ``boots`` (session, boot);
    ``unnamed`` and ``named`` what it is of, in ``unit``. ``trusted`` is whether
    the A/A null of its layout held.
    """

    place: Place
    metric: str
    vmas: int
    vma_pages: int
    written_pages: int
    store: str
    naming: str
    name_length: int
    extra: Interval
    percent: Interval
    boots: tuple[tuple[str, int], ...]
    unnamed: tuple[float, ...]
    named: tuple[float, ...]
    by_boot: tuple[float, ...]
    judged: Judged
    trusted: bool

    @property
    def pages(self) -> str:
        """How many pages of each VMA are written, and of how many."""
        return pages_words(self.written_pages, self.vma_pages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """Two identical unnamed arms of a layout: their difference in percent."""

    place: Place
    vmas: int
    vma_pages: int
    written_pages: int
    percent: Interval
    by_boot: tuple[float, ...]
    holds: bool

    @property
    def pages(self) -> str:
        """How many pages of each VMA are written, and of how many."""
        return pages_words(self.written_pages, self.vma_pages)


def null_effects(
    frame: pd.DataFrame, *, margin: float, metric: str = "fork"
) -> list[Null]:
    """The A/A null of every layout of every kernel, of one metric.

    It holds when the two arms are the same: all boots within ``EXACT_NULL`` of
    ``margin`` percent on the instruction clock; on the other, their median within
    the margin and no difference beyond it shown. Campaigns of one unnamed process
    a layout have none, nor have metrics of names.
    """
    unnamed = processes(frame, metric).query("naming == 'none'")
    unnamed = unnamed.sort_values("position")
    keys = [*PLACE, *LAYOUT, *BOOT, "block"]
    arms = unnamed.groupby(keys)["value"].agg(["first", "last", "size"]).reset_index()
    arms = arms[arms["size"] >= 2]
    arms["percent"] = (arms["last"] / arms["first"] - 1) * 100
    boots = arms.groupby([*PLACE, *LAYOUT, *BOOT])["percent"].median().reset_index()
    nulls = []
    for key, cell in boots.groupby([*PLACE, *LAYOUT]):
        place = _place(key)
        values = cell["percent"].to_numpy()
        if place.exact:
            holds = (
                judge_exact(values, EXACT_NULL * margin).verdict is Verdict.EQUIVALENT
            )
        else:
            # A difference that is shown, not one that could not be excluded.
            shown = judge(values, margin).verdict
            holds = shown not in (Verdict.REGRESSED, Verdict.IMPROVED) and bool(
                abs(np.median(values)) <= margin
            )
        nulls.append(
            Null(
                place=place, **_layout(key), percent=_estimate(place, values),
                by_boot=tuple(values), holds=holds,
            )
        )  # fmt: skip
    return nulls


def answers(
    frame: pd.DataFrame, *, margin: float, metric: str = "fork"
) -> list[Answer]:
    """Every named cell of a campaign, judged against ``margin`` percent."""
    table = processes(frame, metric)
    cell = [*PLACE, *LAYOUT]
    block = [*cell, *BOOT, "block"]
    unnamed = table[table["naming"] == "none"].groupby(block)["value"].mean()
    named = table[table["naming"] != "none"].groupby([*block, *NAMING])["value"].mean()
    pairs = named.reset_index().merge(
        unnamed.rename("unnamed").reset_index(), on=block, how="inner"
    )
    pairs["percent"] = (pairs["value"] / pairs["unnamed"] - 1) * 100
    pairs["extra"] = (pairs["value"] - pairs["unnamed"]) / pairs["vmas"]
    boots = pairs.groupby([*cell, *NAMING, *BOOT])[
        ["unnamed", "value", "percent", "extra"]
    ]
    held: dict[tuple[Place, tuple[int, ...]], bool] = {
        (n.place, (n.vmas, n.vma_pages, n.written_pages)): n.holds
        for n in null_effects(frame, margin=margin, metric=metric)
    }
    found = []
    for key, rows in boots.median().reset_index().groupby([*cell, *NAMING]):
        place, layout = _place(key), _layout(key)
        percent = rows["percent"].to_numpy()
        decide = judge_exact if place.exact else judge
        store, naming, length = key[-3:]
        found.append(
            Answer(
                place=place, metric=metric, **layout, store=str(store),
                naming=str(naming), name_length=int(str(length)),
                extra=_estimate(place, rows["extra"].to_numpy()),
                percent=_estimate(place, percent),
                boots=tuple(zip(rows["session"], rows["boot"], strict=True)),
                unnamed=tuple(rows["unnamed"]), named=tuple(rows["value"]),
                by_boot=tuple(percent), judged=decide(percent, margin),
                trusted=held.get(_cell_of(place, layout), False),
            )
        )  # fmt: skip
    return _corrected(found)


# A place, vmas, vma_pages and written pages, naming and length.
Cell = tuple[Place, int, int, int, str, int]


def reductions(found: list[Answer]) -> dict[Cell, Interval]:
    """How many times less a shared name costs than a copied one, by cell.

    Of the boots that have both; where sharing costs anything in each of them, or
    on the clock that takes time in each resampled mean.
    """
    cells: dict[Cell, dict[str, Answer]] = {}
    for a in found:
        layout = (a.vmas, a.vma_pages, a.written_pages)
        key = (a.place, *layout, a.naming, a.name_length)
        cells.setdefault(key, {})[a.store] = a
    ratios = {}
    for key, stores in cells.items():
        if not {"strdup", "refcounted"} <= stores.keys():
            continue
        copied, shared = _of_same_boots(stores["strdup"], stores["refcounted"])
        if key[0].exact and len(shared) and (shared > 0).all():
            ratios[key] = exact_range(copied / shared)
        elif not key[0].exact and (ratio := ratio_of_means(copied, shared)):
            ratios[key] = ratio
    return ratios


def _of_same_boots(*sides: Answer) -> list[Values]:
    by_boot = [dict(zip(a.boots, a.by_boot, strict=True)) for a in sides]
    common = [boot for boot in by_boot[0] if all(boot in side for side in by_boot)]
    return [np.array([side[boot] for boot in common]) for side in by_boot]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """What one VMA more costs: ``arm`` is unnamed, or the store of ``naming``."""

    place: Place
    arm: str
    naming: str
    vma_pages: int
    line: Line
    counts: tuple[int, ...]
    by_boot: tuple[tuple[float, ...], ...]

    @property
    def words(self) -> str:
        """The arm and how it is named, in a word or two."""
        return self.arm if self.arm == "unnamed" else f"{self.arm} {self.naming}"


def slopes(frame: pd.DataFrame, *, metric: str = "fork") -> list[Slope]:
    """The cost over VMA counts, of kernels measured with three or more of them.

    Of unwritten layouts; of each way to name, the longest names of its place.
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
        arm, naming, vma_pages = key[-3:]
        found.append(
            Slope(
                place=_place(key), arm=str(arm),
                naming=f"{naming}:{rows['name_length'].iloc[0]}",
                vma_pages=int(str(vma_pages)), line=line(counts, by_boot),
                counts=counts, by_boot=by_boot,
            )
        )  # fmt: skip
    return found


def _corrected(found: list[Answer]) -> list[Answer]:
    result = list(found)
    for place in {answer.place for answer in found}:
        at = [i for i, answer in enumerate(found) if answer.place == place]
        for i, judged in zip(at, holm([found[i].judged for i in at]), strict=True):
            result[i] = replace(found[i], judged=judged)
    return result


def _estimate(place: Place, values: Values) -> Interval:
    return exact_range(values) if place.exact else interval(values)


def _place(key: tuple[object, ...]) -> Place:
    return Place(**dict(zip(PLACE, map(str, key[: len(PLACE)]), strict=True)))


def _cell_of(place: Place, layout: dict[str, int]) -> tuple[Place, tuple[int, ...]]:
    return place, tuple(layout.values())


def _layout(key: tuple[object, ...]) -> dict[str, int]:
    numbers = key[len(PLACE) : len(PLACE) + len(LAYOUT)]
    return {name: int(str(n)) for name, n in zip(LAYOUT, numbers, strict=True)}
