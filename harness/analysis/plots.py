"""Plots of a campaign; each returns a Figure, for notebooks and as SVG for reports.

Colours are readable on light and on dark ground, and told apart by shape too.
"""

import io
import re
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.aa_check import AACheck
from harness.analysis.effects import Effect
from harness.analysis.frames import usable
from harness.analysis.processes import LAYOUT, NAMING, PLACE
from harness.analysis.slopes import Slope
from harness.programs import printable

_STYLE = {
    "unnamed": ("#7f7f7f", "o"), "refcounted": ("#2b8cbe", "s"),
    "strdup": ("#e6550d", "^"),
}  # fmt: skip
_DASHES = {"none": "-", "distinct": "-", "shared": "--"}
# The largest names of each slab class: 8, 16, 32, 64 and 96 bytes with their count.
_STEPS = (3, 11, 27, 59)


def plot_slopes(slopes: Sequence[Slope]) -> Figure:
    """The cost of a fork over the number of VMAs, both in powers of ten."""
    figure, axes = _figure(len({s.place for s in slopes}))
    places = sorted({s.place for s in slopes}, key=lambda place: place.words)
    for place, ax in zip(places, axes, strict=True):
        for slope in (s for s in slopes if s.place == place):
            color, marker = _STYLE[slope.arm]
            dash = _DASHES.get(slope.naming.split(":")[0], ":")
            middle = np.median(np.asarray(slope.by_boot), axis=0)
            label = f"{slope.words}: {slope.line.slope:,.0f} {place.unit} a VMA"
            ax.loglog(
                slope.counts, middle, color=color, marker=marker, ls=dash, label=label
            )
        ax.set_title(_shown(place.words, 90), fontsize=9)
        ax.set_xlabel("VMAs")
        ax.set_ylabel(f"fork, {place.unit}")
        ax.legend(fontsize=8)
    return figure


def plot_effects(found: Sequence[Effect]) -> Figure:
    """What names cost in percent of the unnamed fork, with intervals, cell by cell."""
    places = sorted({a.place for a in found}, key=lambda place: place.words)
    most = max(sum(a.place == place for a in found) for place in places)
    figure, axes = _figure(len(places), height=1.2 + 0.28 * most)
    for place, ax in zip(places, axes, strict=True):
        here = [a for a in found if a.place == place]
        told = set()
        for row, a in enumerate(here):
            color, marker = _STYLE[a.arm.store]
            p = a.percent
            label = "" if a.arm.store in told else a.arm.store
            told.add(a.arm.store)
            ax.errorbar(
                p.value, row, xerr=[[p.value - p.low], [p.high - p.value]],
                color=color, marker=marker, capsize=3, ls="", label=label,
            )  # fmt: skip
        ax.legend(fontsize=8)
        ax.margins(y=0.08)
        ax.set_yticks(range(len(here)))
        ax.set_yticklabels([_cell(a) for a in here], fontsize=8)
        ax.invert_yaxis()
        ax.axvline(0, color="#7f7f7f", lw=0.8)
        ax.set_xlabel("percent more than unnamed")
        ax.set_title(_shown(place.words, 90), fontsize=9)
    return figure


def plot_lengths(found: Sequence[Effect]) -> Figure:
    """What a name costs over its length, and where slab classes end."""
    places = sorted({a.place for a in found}, key=lambda place: place.words)
    figure, axes = _figure(len(places))
    for place, ax in zip(places, axes, strict=True):
        # A line joins what differs in length alone.
        lines: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
        for e in (e for e in found if e.place == place):
            kind = (e.arm.store, e.arm.naming, e.arm.layout_words)
            lines.setdefault(kind, []).append((e.arm.name_length, e.extra.value))
        for (store, naming, layout), points in sorted(lines.items()):
            color, marker = _STYLE[store]
            ax.plot(
                *zip(*sorted(points), strict=True), color=color, marker=marker,
                ls=_DASHES.get(naming, ":"), label=f"{store}, {naming}, {layout}",
            )  # fmt: skip
        for step in _STEPS:
            ax.axvline(step + 0.5, color="#7f7f7f", lw=0.8, ls=":")
        ax.set_xlabel("bytes of a name; dotted: a slab class ends")
        ax.set_ylabel(f"extra a VMA, {place.unit}")
        ax.set_title(_shown(place.words, 90), fontsize=9)
        ax.legend(fontsize=8)
    return figure


def plot_memory(memory: pd.DataFrame) -> Figure:
    """Bytes that one fork takes for names, over their length; of ``memory_table``."""
    distinct = memory[memory["naming"] == "distinct"]
    figure, (ax,) = _figure(1)
    for (variant, base, machine), cell in distinct.groupby(
        ["variant", "base", "machine"]
    ):
        color, marker = _STYLE["strdup" if variant == "strdup" else "refcounted"]
        ax.plot(
            cell["name_length"], cell["bytes"] / cell["vmas"], color=color,
            marker=marker, ls="-" if base == "6.12" else "--",
            lw=2 if machine == "aarch64" else 1, label=f"{variant} {base} {machine}",
        )  # fmt: skip
    ax.set_xlabel("bytes of a name")
    ax.set_ylabel("bytes a VMA, by one fork")
    ax.legend(fontsize=8)
    return figure


def plot_aa(checks: Sequence[AACheck]) -> Figure:
    """How far two identical unnamed arms lie apart, a dot a boot."""
    figure, (ax,) = _figure(1, height=1.2 + 0.28 * len(checks))
    for row, check in enumerate(checks):
        color = "#2b8cbe" if check.holds else "#e6550d"
        ax.plot(check.by_boot, [row] * len(check.by_boot), "o", color=color)
    ax.margins(y=0.25)
    ax.set_yticks(range(len(checks)))
    ax.set_yticklabels(
        [f"{_shown(n.place.variant, 30)}, {_shown(n.arm.words, 60)}" for n in checks],
        fontsize=8,
    )
    ax.invert_yaxis()
    ax.axvline(0, color="#7f7f7f", lw=0.8)
    ax.set_xlabel("percent between two identical arms")
    return figure


def plot_order(frame: pd.DataFrame, metric: str = "fork") -> Figure:
    """Every sample relative to its cell's median, in the order they were taken."""
    samples = usable(frame, metric)
    cell = [*PLACE, *LAYOUT, *NAMING]
    relative = samples["value"] / samples.groupby(cell)["value"].transform("median")
    figure, (ax,) = _figure(1)
    for boot, rows in samples.groupby(["session", "boot"]):
        order = rows.sort_values(["position", "order"]).index
        ax.plot((relative[order].to_numpy() - 1) * 100, ".", ms=3, label=str(boot[1]))
    ax.set_xlabel("samples in the order they were taken; a colour a boot")
    ax.set_ylabel("percent off the cell's median")
    return figure


def svg_of(figure: Figure) -> str:
    """A figure as an SVG element that stands in HTML: no header, no fixed size."""
    out = io.StringIO()
    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "anonvma",
            # Names may have dollar signs: they are no formulas.
            "text.parse_math": False,
        }
    ):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    svg = out.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg[svg.index("<svg") :]
    return re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1).replace(
        ' height="', ' data-height="', 1
    )


def _figure(count: int, *, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(7.2, height * max(count, 1)), layout="constrained")
    axes = [figure.add_subplot(max(count, 1), 1, i + 1) for i in range(max(count, 1))]
    for ax in axes:
        ax.grid(alpha=0.3)
    return figure, axes


def _cell(effect: Effect) -> str:
    return f"{effect.arm.layout_words}, {effect.arm.names}"


def _shown(words: str, most: int) -> str:
    # Of records: what no font has is warned of, and what is long leaves no room.
    words = printable(words)
    return words if len(words) <= most else words[: most - 3] + "..."
