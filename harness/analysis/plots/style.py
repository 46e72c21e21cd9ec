"""The style of all figures: one palette, a marker and a dash for each kind.

Every colour has a contrast of 3 or more on white and on black, and nothing depends on
colour alone. Text and lines have one ink colour, which ``svg`` replaces by that of the
page's text.
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
# The colour of an arm, by its store; "any" and "unnamed" are arms without names.
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
# In inches: half the width of a wide page, all of a narrow one.
WIDTH, HEIGHT = 4.9, 3.1
# An axis has room for at most this many labels of counts.
_MOST_TICKS = 8
# Two legend entries of at most this length fit beside each other.
_SHORT = 24
# Any: matplotlib's type for a setting's name is a literal of all names.
_SETTINGS: dict[Any, Any] = {
    "text.color": INK, "axes.labelcolor": INK, "axes.titlecolor": INK,
    "axes.edgecolor": GRAY, "axes.spines.top": False, "axes.spines.right": False,
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8.5,
    "legend.frameon": False, "lines.markersize": 5, "hatch.linewidth": 0.6,
    "figure.facecolor": "white", "figure.dpi": 110,
    # Names may contain dollar signs, which are not formulas.
    "text.parse_math": False,
}  # fmt: skip
_P = ParamSpec("_P")


def line_style(store: str, number: int) -> tuple[str, str]:
    """The marker and the dash of a store's ``number``-th kind; the first 16 differ."""
    marker = MARKERS[store][number % 4]
    return marker, _DASHES[(number + number // 4) % 4]


def drawn(plot: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """The plot in this style, whatever settings the notebook has."""

    @wraps(plot)
    def in_style(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with mpl.rc_context(_SETTINGS):
            return plot(*args, **kwargs)

    return in_style


def panels(
    count: int, *, height: float = HEIGHT, columns: int = 1, width: float = WIDTH
) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels (at least one), each of this size in inches."""
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
    """Write the kernel, machine and clock above a panel."""
    clock = "instructions" if place.exact else "time"
    kernel = cut(f"linux {place.base} {place.variant}: {clock}", 50)
    where = cut(f"{place.target} {place.machine} ({place.accelerator})", 50)
    ax.set_title(f"{kernel}\n{where}", loc="left")


def counted(ax: Axes, counts: Iterable[int]) -> None:
    """Make the x axis logarithmic, with the measured counts as labels."""
    ax.set_xscale("log")
    plainly(ax.xaxis)
    measured = sorted(set(counts))
    if len(measured) <= _MOST_TICKS:
        labels = [f"{count:,}" for count in measured]
        ax.set_xticks(measured, labels, rotation=20, ha="right", rotation_mode="anchor")


def plainly(axis: Axis) -> None:
    """Label a logarithmic axis with numbers instead of powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.set_minor_locator(NullLocator())


def legend(figure: Figure, *, columns: int = 2) -> None:
    """One legend for all panels, below them, so that it covers no data."""
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
    """Text from records, printable and at most ``most`` characters long."""
    words = printable(words)
    return words if len(words) <= most else words[: most - 3] + "..."
