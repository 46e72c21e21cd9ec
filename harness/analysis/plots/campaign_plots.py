"""Plots of a campaign; each returns a Figure, for notebooks and as SVG for reports.

Each place has its own panel, so no panel mixes two clocks or two kernels.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from harness.analysis.aa_check import AACheck
from harness.analysis.costs import Cost
from harness.analysis.effects import Effect
from harness.analysis.plots.style import (
    BLUE,
    COLOURS,
    GRAY,
    HEIGHT,
    INK,
    MARKERS,
    ORANGE,
    STORES,
    counted,
    cut,
    drawn,
    legend,
    line_style,
    panels,
    plainly,
    titled,
)
from harness.analysis.processes import (
    LAYOUT,
    NAMING,
    PLACE,
    Arm,
    Place,
    place_of,
    time_first,
)
from harness.analysis.published import PUBLISHED_PERCENT, like_2021, published_percent
from harness.analysis.records.frames import usable
from harness.analysis.slopes import Slope
from harness.analysis.stats import Interval

_T = TypeVar("_T", Effect, Slope, AACheck, Cost)

# The longest names whose structs fit the slab classes of 8, 16, 32 and 64 bytes.
_STEPS = (3, 11, 27, 59)
_ROW = 0.3
# With more samples an SVG gets a bitmap, because single shapes need megabytes.
_MOST_MARKS = 500
_WORD = {"strdup": "copied", "refcounted": "shared"}


@drawn
def plot_published(found: Sequence[Effect], *, columns: int = 1) -> Figure:
    """The six cells of 2021 as published and as measured, in percent of unnamed.

    One panel per place that measured at least one of them.
    """
    places = [(p, here) for p, here in _by_place(found) if _has_published(here)]
    figure, axes = panels(len(places), columns=columns)
    for (place, here), ax in zip(places, axes, strict=False):
        _draw_published(ax, here)
        titled(ax, place)
    # Readers compare the panels by eye, so all have the same scale.
    top = max((ax.get_ylim()[1] for ax in axes), default=1.0)
    for ax in axes:
        ax.set_ylim(top=top)
    legend(figure, columns=2 * columns)
    return figure


def _draw_published(ax: Axes, here: Sequence[Effect]) -> None:
    """The published cells of one place, in one panel: bars side by side."""
    ax.grid(visible=False, axis="x")
    top = max(figure for cell in PUBLISHED_PERCENT.values() for figure in cell.values())
    for group, (pages, cell) in enumerate(PUBLISHED_PERCENT.items()):
        for number, (store, published) in enumerate(cell.items()):
            left = group + (number - 0.5) * 0.46
            colour = COLOURS[store]
            ax.bar(
                left - 0.1, published, 0.19, facecolor="none", edgecolor=colour,
                hatch="////", label=_once(ax, f"{_WORD[store]}, published 2021"),
            )  # fmt: skip
            _value(ax, left - 0.1, published, f"{published:.1f}")
            effect = like_2021(here, store, written_pages=pages)
            if effect is None:
                _value(ax, left + 0.1, 0.0, "not measured", rotation=90)
                continue
            measured = effect.percent
            ax.bar(
                left + 0.1, measured.value, 0.19, facecolor=colour, edgecolor=colour,
                label=_once(ax, f"{_WORD[store]}, measured"),
            )  # fmt: skip
            ax.errorbar(
                left + 0.1, measured.value, yerr=_whiskers([measured]), color=INK,
                capsize=3, lw=1,
            )  # fmt: skip
            _value(ax, left + 0.1, max(measured.high, 0.0), f"{measured.value:.1f}")
            top = max(top, measured.high)
    ax.axhline(0, color=GRAY, lw=0.8)
    ax.set_ylim(top=top * 1.12)
    groups = [f"{pages} written pages" for pages in PUBLISHED_PERCENT]
    ax.set_xticks(range(len(groups)), [g.removesuffix("s") if g[:2] == "1 " else g
                                       for g in groups])  # fmt: skip
    ax.set_ylabel("percent more than unnamed")


def _value(ax: Axes, x: float, y: float, text: str, *, rotation: int = 0) -> None:
    ax.annotate(
        text, (x, y), (0, 2), textcoords="offset points", ha="center", va="bottom",
        fontsize=7.5, rotation=rotation,
    )  # fmt: skip


def _has_published(here: Sequence[Effect]) -> bool:
    return any(published_percent(e.arm) is not None for e in here)


@drawn
def plot_effects(found: Sequence[Effect]) -> Figure:
    """What names cost in percent of the unnamed call, with intervals, per cell."""
    places = _by_place(found)
    most = max((len(_cells(here)) for _, here in places), default=1)
    figure, axes = panels(len(places), height=1.3 + _ROW * most)
    for (place, here), ax in zip(places, axes, strict=False):
        cells = _cells(here)
        for store in ("strdup", "refcounted"):
            effects = [e for e in here if e.arm.store == store]
            at = [cells.index(_cell(e)) for e in effects]
            _points(ax, [e.percent for e in effects], at, store)
        common = _rows(ax, cells)
        ax.axvline(0, color=GRAY, lw=0.8)
        _below(ax, "percent more than unnamed", common)
        titled(ax, place)
    legend(figure)
    return figure


@drawn
def plot_scale(found: Sequence[Effect]) -> Figure:
    """What names cost per VMA over the number of VMAs, with intervals."""
    return _lines(
        found,
        at=lambda arm: arm.vmas,
        kind=lambda arm: f"{STORES[arm.store]}, {arm.names}, {arm.pages} pages",
        xlabel="VMAs",
        log=True,
    )


@drawn
def plot_lengths(found: Sequence[Effect]) -> Figure:
    """What a name costs over its length, and where slab classes end."""
    figure = _lines(
        found,
        at=lambda arm: arm.name_length,
        # A line joins cells that differ only in length.
        kind=lambda arm: f"{STORES[arm.store]}, {arm.naming}, {arm.layout_words}",
        xlabel="bytes of a name (dotted: a slab class ends)",
    )
    for ax in figure.axes:
        for step in _STEPS:
            ax.axvline(step + 0.5, color=GRAY, lw=0.8, ls=":")
    return figure


def _lines(
    found: Sequence[Effect],
    *,
    at: Callable[[Arm], int],
    kind: Callable[[Arm], str],
    xlabel: str,
    log: bool = False,
) -> Figure:
    places = _by_place(found)
    marks = _marks((e.arm.store, kind(e.arm)) for e in found)
    figure, axes = panels(len(places), height=_with_legend(len(places), len(marks)))
    for (place, here), ax in zip(places, axes, strict=False):
        lines: dict[tuple[str, str], list[Effect]] = {}
        for e in sorted(here, key=lambda e: at(e.arm)):
            lines.setdefault((e.arm.store, kind(e.arm)), []).append(e)
        for (store, label), line in sorted(lines.items()):
            marker, dash = marks[(store, label)]
            ax.errorbar(
                [at(e.arm) for e in line], [e.extra.value for e in line],
                yerr=_whiskers([e.extra for e in line]), capsize=2, lw=1.2,
                color=COLOURS[store], label=cut(label, 70), marker=marker, ls=dash,
            )  # fmt: skip
        if log:
            counted(ax, [at(e.arm) for e in here])
        ax.set_ylim(bottom=min(0.0, *ax.get_ylim()))
        ax.set_xlabel(xlabel)
        ax.set_ylabel(f"extra {place.unit} per VMA")
        titled(ax, place)
    legend(figure)
    return figure


@drawn
def plot_costs(found: Sequence[Cost]) -> Figure:
    """The whole cost of a metric, one row per kernel and arm.

    Named arms are shown per VMA, unnamed ones per call. Each layout and clock has its
    own panel, because a fork of a thousand VMAs and one of a million need other axes.
    """
    groups: dict[tuple[str, str], list[Cost]] = {}
    for cost in found:
        per = " per VMA" * cost.arm.named
        what = f"{cost.metric}{per}, {', '.join(_arm_facts(cost.arm)[:2])}"
        groups.setdefault((what, cost.place.unit), []).append(cost)
    most = max(map(len, groups.values()), default=1)
    figure, axes = panels(len(groups), height=0.9 + _ROW * most)
    for ((what, unit), here), ax in zip(groups.items(), axes, strict=False):
        for store in dict.fromkeys(cost.arm.store for cost in here):
            rows = [n for n, cost in enumerate(here) if cost.arm.store == store]
            values = [c.per_vma if c.arm.named else c.total for c in here]
            _points(ax, [values[n] for n in rows], rows, store)
        common = _rows(ax, [_cost_facts(cost) for cost in here])
        _below(ax, f"{unit}: {what}", common)
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        ax.locator_params(axis="x", nbins=4)
    return figure


@drawn
def plot_slopes(slopes: Sequence[Slope]) -> Figure:
    """The cost of a call over the number of VMAs, on logarithmic axes."""
    places = _by_place(slopes)
    marks = _marks((slope.arm, _slope_words(slope)) for slope in slopes)
    figure, axes = panels(len(places), height=_with_legend(len(places), len(marks)))
    for (place, here), ax in zip(places, axes, strict=False):
        for slope in here:
            marker, dash = marks[(slope.arm, _slope_words(slope))]
            ax.loglog(
                slope.counts, np.median(np.asarray(slope.by_boot), axis=0), lw=1.2,
                color=COLOURS[slope.arm], marker=marker, ls=dash,
                label=cut(_slope_words(slope), 70),
            )  # fmt: skip
        counted(ax, [count for slope in here for count in slope.counts])
        plainly(ax.yaxis)
        titled(ax, place)
        ax.set_xlabel("VMAs")
        ax.set_ylabel(f"{here[0].metric}, {place.unit}")
    legend(figure)
    return figure


@drawn
def plot_memory(memory: pd.DataFrame) -> Figure:
    """Bytes that one fork allocates for names, over their length (``memory_table``)."""
    distinct = memory[memory["naming"] == "distinct"]
    kinds = list(distinct.groupby(["variant", "base", "machine"]))
    figure, (ax,) = panels(1, height=HEIGHT + 0.2 * len(kinds))
    marks = _marks((_kept(variant), f"{variant} {base} {machine}")
                   for (variant, base, machine), _ in kinds)  # fmt: skip
    for (variant, base, machine), cell in kinds:
        store, words = _kept(variant), f"{variant} {base} {machine}"
        marker, dash = marks[(store, words)]
        ax.plot(
            cell["name_length"], cell["bytes"] / cell["vmas"], color=COLOURS[store],
            marker=marker, ls=dash, lw=1.2, label=words,
        )  # fmt: skip
    ax.set_xlabel("bytes of a name")
    ax.set_ylabel("bytes per VMA, by one fork")
    legend(figure)
    return figure


@drawn
def plot_aa(checks: Sequence[AACheck]) -> Figure:
    """The difference of identical arms, one mark per boot."""
    places = _by_place(checks)
    most = max((len(here) for _, here in places), default=1)
    figure, axes = panels(len(places), height=1.3 + _ROW * most)
    for (place, here), ax in zip(places, axes, strict=False):
        for row, check in enumerate(here):
            ax.plot(
                check.by_boot, [row] * len(check.by_boot), ls="",
                marker="o" if check.holds else "X",
                color=BLUE if check.holds else ORANGE,
                label=_once(ax, "alike" if check.holds else "not alike"),
            )  # fmt: skip
        cells = [
            (*_arm_facts(check.arm), check.arm.store * check.arm.named)
            for check in here
        ]
        common = _rows(ax, cells)
        ax.axvline(0, color=GRAY, lw=0.8)
        words = "percent between two identical arms, one mark per boot"
        _below(ax, words, common)
        titled(ax, place)
    legend(figure)
    return figure


@drawn
def plot_order(frame: pd.DataFrame, metric: str = "fork") -> Figure:
    """Every sample relative to its cell's median, in the order of measurement."""
    samples = usable(frame, metric)
    cell = [*PLACE, *LAYOUT, *NAMING]
    middle = samples.groupby(cell)["value"].transform("median")
    samples = samples.assign(off=(samples["value"] / middle - 1) * 100)
    places = list(samples.groupby(PLACE, observed=True))
    figure, axes = panels(len(places), height=2.4)
    for (key, here), ax in zip(places, axes, strict=False):
        begin = 0
        boots = here.sort_values(["session", "boot", "position", "order"])
        for number, (_, rows) in enumerate(
            boots.groupby(["session", "boot"], observed=True)
        ):
            ax.plot(
                range(begin, begin + len(rows)), rows["off"], ls="", ms=3,
                marker=("o", "^")[number % 2], color=(BLUE, GRAY)[number % 2],
                rasterized=len(here) > _MOST_MARKS,
            )  # fmt: skip
            begin += len(rows)
        ax.axhline(0, color=GRAY, lw=0.8)
        ax.set_xlabel(
            "samples in order of measurement; each boot changes the mark", loc="right"
        )
        ax.set_ylabel("percent from its\ncell's median")
        titled(ax, place_of(tuple(key)))
    return figure


def _by_place(found: Sequence[_T]) -> list[tuple[Place, list[_T]]]:
    places = sorted({each.place for each in found}, key=time_first)
    return [(p, [each for each in found if each.place == p]) for p in places]


def _marks(kinds: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """A marker and a dash for each kind of line, all different within a store."""
    marks: dict[tuple[str, str], tuple[str, str]] = {}
    seen: dict[str, int] = {}
    for store, words in sorted(set(kinds)):
        number = seen[store] = seen.get(store, -1) + 1
        marks[(store, words)] = line_style(store, number)
    return marks


def _with_legend(count: int, lines: int) -> float:
    # All panels share one legend, with one line per entry.
    return HEIGHT + 0.2 * max(0, lines - 2) / max(count, 1)


def _points(ax: Axes, estimates: list[Interval], rows: list[int], store: str) -> None:
    if estimates:
        ax.errorbar(
            [each.value for each in estimates], rows, xerr=_whiskers(estimates), ls="",
            color=COLOURS[store], marker=MARKERS[store][0], capsize=3,
            label=STORES[store],
        )  # fmt: skip


def _whiskers(estimates: Sequence[Interval]) -> list[list[float]]:
    return [
        [max(0.0, each.value - each.low) for each in estimates],
        [max(0.0, each.high - each.value) for each in estimates],
    ]


def _rows(ax: Axes, cells: Sequence[Sequence[str]]) -> str:
    """Label rows by the facts that differ; returns the shared facts in words."""
    own = [len(set(facts)) > 1 for facts in zip(*cells, strict=True)]
    labels = [", ".join(f for f, o in zip(cell, own, strict=True) if o and f)
              for cell in cells]  # fmt: skip
    ax.set_yticks(range(len(cells)), [cut(label, 50) for label in labels])
    # Leave room above and below, even for one row.
    ax.set_ylim(len(cells) - 0.4, -0.6)
    ax.margins(x=0.08)
    common = (f for f, o in zip(cells[0], own, strict=True) if f and not o)
    return cut(", ".join(common), 60)


def _below(ax: Axes, *words: str) -> None:
    # Right-aligned, so that it can use the space below the row labels too.
    ax.set_xlabel("\n".join(filter(None, words)), loc="right", ma="right")


def _cells(found: Sequence[Effect]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(map(_cell, found)))


def _cell(effect: Effect) -> tuple[str, ...]:
    return effect.metric, *_arm_facts(effect.arm)


def _arm_facts(arm: Arm) -> tuple[str, ...]:
    return f"{arm.vmas:,} VMAs", f"{arm.pages} pages", arm.names if arm.named else ""


def _cost_facts(cost: Cost) -> tuple[str, ...]:
    place, arm = cost.place, cost.arm
    where = f"{place.target} {place.machine} ({place.accelerator})"
    store = arm.store if arm.named else ""
    return place.variant, f"linux {place.base}", where, store, _arm_facts(arm)[-1]


def _kept(variant: object) -> str:
    return "strdup" if variant == "strdup" else "refcounted"


def _slope_words(slope: Slope) -> str:
    named = slope.arm != "unnamed"
    return f"{STORES[slope.arm]}{f', {slope.naming}' if named else ''}"


def _once(ax: Axes, label: str) -> str:
    # Legends omit labels that begin with an underscore.
    return f"_{label}" if label in ax.get_legend_handles_labels()[1] else label
