"""What all figures look like: one palette, a marker and a dash for each kind.

Every colour can be told from white ground and from black (contrast 3 or more), and
nothing is told by colour alone. What is ink has one colour, which ``svg`` exchanges
for that of the page's text.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from harness.analysis.display.figure import NotebookFigure
from harness.analysis.processes import Place
from harness.host.programs import printable

INK = "#1f2328"
GRAY, BLUE, ORANGE = "#808080", "#2f81c7", "#d9570b"
# Of an arm, by its store; "any" and "unnamed" are arms without names.
COLOURS = {
    "unnamed": GRAY, "any": GRAY, "absent": GRAY, "refcounted": BLUE, "strdup": ORANGE,
}  # fmt: skip
MARKERS = {
    "unnamed": "oh8*", "any": "oh8*", "absent": "oh8*", "refcounted": "sDPX",
    "strdup": "^v<>",
}  # fmt: skip
_DASHES = ("-", "--", ":", "-.")
STORES = {
    "unnamed": "unnamed", "any": "unnamed", "absent": "unnamed",
    "refcounted": "shared (refcounted)", "strdup": "copied (strdup)",
}  # fmt: skip
# In inches: half of a wide page, all of a narrow one.
WIDTH, HEIGHT = 4.9, 3.1
# More counts than these have no room for their labels.
_MOST_TICKS = 8
# Two entries of a legend that are no longer have room beside each other.
_SHORT = 24
# Of Any: the type of a setting's name is the list of all of them.
_SETTINGS: dict[Any, Any] = {
    "text.color": INK, "axes.labelcolor": INK, "axes.titlecolor": INK,
    "axes.edgecolor": GRAY, "axes.spines.top": False, "axes.spines.right": False,
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8.5,
    "legend.frameon": False, "lines.markersize": 5, "hatch.linewidth": 0.6,
    "figure.facecolor": "white", "figure.dpi": 110,
    # Names may have dollar signs: they are no formulas.
    "text.parse_math": False,
}  # fmt: skip
_P = ParamSpec("_P")


def line_style(store: str, number: int) -> tuple[str, str]:
    """The marker and the dash of a store's ``number``-th kind: of 16, no two alike."""
    marker = MARKERS[store][number % 4]
    return marker, _DASHES[(number + number // 4) % 4]


def drawn(plot: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """A plot that is drawn in this style, whatever the notebook around it has set."""

    @wraps(plot)
    def in_style(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with mpl.rc_context(_SETTINGS):
            return plot(*args, **kwargs)

    return in_style


def panels(
    count: int, *, height: float = HEIGHT, columns: int = 1, width: float = WIDTH
) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, each of this size in inches; at least one."""
    count = max(count, 1)
    rows = -(-count // columns)
    figure = NotebookFigure(
        figsize=(width * columns, height * rows), layout="constrained"
    )
    axes = [figure.add_subplot(rows, columns, at + 1) for at in range(count)]
    for ax in axes:
        ax.grid(alpha=0.25, color=GRAY, linewidth=0.6)
        ax.set_axisbelow(True)
        ax.tick_params(color=GRAY, labelcolor=INK, labelsize=8.5)
    return figure, axes


def titled(ax: Axes, place: Place) -> None:
    """Say above a panel on which kernel, machine and clock it was measured."""
    clock = "instructions" if place.exact else "time"
    kernel = cut(f"linux {place.base} {place.variant}: {clock}", 50)
    where = cut(f"{place.target} {place.machine} ({place.accelerator})", 50)
    ax.set_title(f"{kernel}\n{where}", loc="left")


def counted(ax: Axes, counts: Iterable[int]) -> None:
    """A logarithmic axis of counts, which says those that were measured."""
    ax.set_xscale("log")
    plainly(ax.xaxis)
    told = sorted(set(counts))
    if len(told) <= _MOST_TICKS:
        labels = [f"{count:,}" for count in told]
        ax.set_xticks(told, labels, rotation=20, ha="right", rotation_mode="anchor")


def plainly(axis: Axis) -> None:
    """Numbers of a logarithmic axis as numbers, and not as powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.set_minor_locator(NullLocator())


def legend(figure: Figure, *, columns: int = 2) -> None:
    """One legend for all panels, below them, where it covers no data."""
    entries: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        short = max(map(len, entries)) <= _SHORT
        figure.legend(
            list(entries.values()), list(entries), loc="outside lower center",
            ncols=min(columns, len(entries)) if short else 1, handlelength=2.4,
        )  # fmt: skip


def cut(words: str, most: int) -> str:
    """Text of records: what no font has is warned of, what is long leaves no room."""
    words = printable(words)
    return words if len(words) <= most else words[: most - 3] + "..."
