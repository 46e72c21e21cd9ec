"""Prints rows as tables: rich on a terminal, plain text elsewhere.

The rows come from analysis, which takes a second to import. Only the type checker
imports their types here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from harness.host.programs import printable, printable_lines

if TYPE_CHECKING:
    from harness.analysis import Cost, CostRow, Interval, MetricTables, Place, Row

# Files and pipes have no width; this one fits every column.
_PLAIN_WIDTH = 176

_NOTES = {
    "insns": (
        "insns: instructions that the whole guest executed between two clock reads, "
        "counted by QEMU. The count is exact, but it is not time: caches and memory "
        "have no effect on it. A value is the median of the boots, [] their range."
    ),
    "ns": (
        "ns: nanoseconds on the machine in the title. A process is summarised by the "
        "first decile of its calls, because other load makes calls slower, never "
        "faster. A value is the mean of the boots, [] its 95 % interval (with fewer "
        "than 6 boots, their range)."
    ),
}
_EFFECT_NOTE = (
    "extra: named - unnamed within one kernel, boot and block. times less: strdup's "
    "extra divided by refcount's. ±: how far the bounds in [] lie from the value."
)
_PUBLISHED_NOTE = (
    "2021: published percentages of time, from an ARM64 device with linux 5.14, 64K "
    "VMAs and names of up to 63 bytes (cover letter of v8)."
)
_STORES = {"strdup": "strdup", "refcounted": "refcount"}
_ALIKE = {True: "alike", False: "DIFFER", None: "not measured"}
# The word for each metric in the title of its table.
_AT = {
    "fork": "fork", "exit_reap": "exit", "split": "splitting", "munmap": "munmap",
    "name": "naming", "rename": "renaming",
}  # fmt: skip


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1, the status of a check that failed.
        raise

    def render_str(self, text: str, **how: Any) -> Text:
        # Rich does not remove escape sequences; this covers all that is printed.
        return super().render_str(printable_lines(text), **how)


def stdout_console() -> Console:
    """The console for results, as wide as the terminal or as the widest table."""
    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    return _Console(width=width, highlight=False, markup=False, emoji=False)


def print_metric(tables: MetricTables, console: Console) -> None:
    """Print every table of one metric, or that there is none yet."""
    if tables.effects:
        print_effect_tables(tables.effects, console)
    if tables.costs:
        print_cost_tables(tables.costs, console)
    if tables.unnamed:
        print_unnamed_table(tables.unnamed, console)
    if not (tables.effects or tables.costs or tables.unnamed):
        console.print(f"no cell with {tables.metric} has been measured completely")


def print_effect_tables(rows: Sequence[Row], console: Console) -> None:
    """Print one table for each place, clock and set of kernels."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((*_where(row.place), " and ".join(row.kernels)), []).append(
            row
        )
    for (base, place, unit, kernels), members in groups.items():
        at = _AT[members[0].effects[0].metric]
        title = f"What names cost at {at}: linux {base}, kernel {kernels}, {place}"
        console.print()
        console.print(printable(title), soft_wrap=True)
        console.print(_effect_table(members, at, unit))
    for unit in sorted({row.place.unit for row in rows}):
        console.print(_NOTES[unit], soft_wrap=True)
    published = any(row.published for row in rows)
    console.print(
        " ".join([_EFFECT_NOTE, *[_PUBLISHED_NOTE] * published]), soft_wrap=True
    )


def print_cost_tables(rows: Sequence[CostRow], console: Console) -> None:
    """Print what only named processes do, with a table for each kernel and clock."""
    groups: dict[tuple[str, ...], list[CostRow]] = {}
    for row in rows:
        groups.setdefault((*_where(row.place), row.place.variant), []).append(row)
    for (base, place, unit, kernel), members in groups.items():
        at = _AT[members[0].costs[0].metric]
        title = f"What {at} costs: linux {base}, kernel {kernel}, {place}"
        console.print()
        console.print(printable(title), soft_wrap=True)
        console.print(_cost_table(members, at, unit))
    for unit in sorted({row.place.unit for row in rows}):
        console.print(_NOTES[unit], soft_wrap=True)


def print_unnamed_table(costs: Sequence[Cost], console: Console) -> None:
    """Print the unnamed calls of kernels that were measured without names only."""
    table = _new_table()
    table.add_column("kernel")
    table.add_column("base")
    table.add_column("where")
    for title in ("VMAs", "pages", "boots", "unnamed"):
        table.add_column(title, justify="right")
    table.add_column("unit")
    for cost in costs:
        table.add_row(
            printable(cost.place.variant),
            printable(cost.place.base),
            printable(f"{cost.place.target} {cost.place.machine}"),
            f"{cost.arm.vmas:,}",
            cost.arm.pages,
            str(cost.total.boots),
            _whole(cost.total),
            cost.place.unit,
        )
    console.print()
    at = _AT[costs[0].metric]
    console.print(
        f"What {at} costs without names, on kernels that have unnamed cells only"
    )
    console.print(table)


def _effect_table(rows: Sequence[Row], at: str, unit: str) -> Table:
    from harness.analysis.display import formats

    table = _new_table()
    published = any(row.published for row in rows)
    for title in (
        "VMAs", "pages\nwritten", "names", "store", "boots", f"unnamed {at},\n{unit}",
        f"extra per VMA,\n{unit}", "extra,\npercent", *["2021,\npercent"] * published,
        "times less",
    ):  # fmt: skip
        left: JustifyMethod = "left" if title in ("names", "store") else "right"
        table.add_column(title, justify=left, no_wrap=True)
    for row in rows:
        cell = (f"{row.arm.vmas:,}", row.arm.pages, printable(row.arm.names))
        for effect in row.effects:
            shared = effect is row.refcounted
            was = row.published.get(effect.arm.store)
            table.add_row(
                *cell,
                _STORES.get(effect.arm.store, effect.arm.store),
                str(effect.percent.boots),
                _whole(effect.unnamed),
                formats.per_vma(effect.extra),
                formats.percent(effect.percent),
                *["" if was is None else f"{was:+.2f}"] * published,
                formats.times(row.ratio) if shared and row.ratio else "",
            )
            cell = ("", "", "")
    return table


def _cost_table(rows: Sequence[CostRow], at: str, unit: str) -> Table:
    from harness.analysis.display import formats

    table = _new_table()
    for title in (
        "VMAs", "pages\nwritten", "names", "store", "boots", f"all calls,\n{unit}",
        f"per VMA,\n{unit}", "identical\narms",
    ):  # fmt: skip
        left: JustifyMethod = "left" if title in ("names", "store") else "right"
        table.add_column(title, justify=left, no_wrap=True)
    for row in rows:
        cell = (f"{row.arm.vmas:,}", row.arm.pages, printable(row.arm.names))
        for cost in row.costs:
            table.add_row(
                *cell,
                _STORES.get(cost.arm.store, cost.arm.store),
                str(cost.total.boots),
                _whole(cost.total),
                formats.per_vma(cost.per_vma).removeprefix("+"),
                _ALIKE[cost.alike],
            )
            cell = ("", "", "")
    return table


def _new_table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _where(place: Place) -> tuple[str, str, str]:
    where = f"{place.target} {place.machine} ({place.accelerator})"
    return place.base, where, place.unit


def _whole(estimate: Interval) -> str:
    """A whole call: its value, and the half-width of its interval in percent."""
    value = estimate.value
    away = max(estimate.high - value, value - estimate.low)
    # Foreign records may hold a value of 0.
    return f"{value:,.0f} ±{away / value:.2%}" if value else "0 ±?"
