"""Rows as tables for people: rich on a terminal, plain text elsewhere.

The rows come from analysis, which takes a second to import: their types are
imported for the type checker only.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from harness.programs import printable, printable_lines

if TYPE_CHECKING:
    from harness.analysis import ForkRow, StoreEffect, UnnamedRow

# Wide enough for every column; files and pipes have no width of their own.
_PLAIN_WIDTH = 176

_NOTES = {
    "insns": (
        "insns: instructions of the whole guest between two clock reads, counted by "
        "QEMU; exact, but blind to caches and memory. They are not time. ±: how far "
        "the furthest boot lies from the median."
    ),
    "ns": (
        "ns: nanoseconds of the clock of the machine that is named; a process stands "
        "for its first decile of forks, as neighbours make forks slower, never faster. "
        "[]: 95 % interval over boots, of fewer than 6 their range. ±: how far the "
        "furthest boot lies from the median."
    ),
}
_PUBLISHED_NOTE = (
    "extra: named - unnamed within one kernel, boot and block, median over boots. "
    "ratio: strdup's extra over refcount's. 2021: percent of milliseconds on an "
    "ARM64 device, linux 5.14, 64K VMAs, names of up to 63 bytes (cover letter of v8)."
)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1, which says that a check failed.
        raise

    def render_str(self, text: str, **how: Any) -> Text:
        # Whatever is printed, in a cell or by itself: rich lets escapes through.
        return super().render_str(printable_lines(text), **how)


def stdout_console() -> Console:
    """Where results go; as wide as the terminal, or as wide as is needed."""
    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    return _Console(width=width, highlight=False, markup=False, emoji=False)


def print_fork_tables(rows: Sequence[ForkRow], console: Console) -> None:
    """One table for each place, clock and set of kernels: never two clocks in one."""
    groups: dict[tuple[str, ...], list[ForkRow]] = {}
    for row in rows:
        place = f"{row.target} {row.machine} ({row.accelerator})"
        key = (row.base, place, row.unit, " and ".join(row.kernels))
        groups.setdefault(key, []).append(row)
    for (base, place, unit, kernels), members in groups.items():
        console.print()
        title = f"What names cost at fork: linux {base}, kernel {kernels}, {place}"
        console.print(printable(title), soft_wrap=True)
        console.print(_fork_table(members, unit))
    for unit in sorted({row.unit for row in rows}):
        console.print(_NOTES[unit], soft_wrap=True)
    console.print(_PUBLISHED_NOTE, soft_wrap=True)


def print_unnamed_table(rows: Sequence[UnnamedRow], console: Console) -> None:
    """The unnamed forks of kernels that were not measured named."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("kernel")
    table.add_column("base")
    table.add_column("where")
    wide = _vma_pages_differ(
        [(row.kernel, row.base, row.target, row.machine, row.unit,
          row.vmas, row.written_pages) for row in rows], rows,
    )  # fmt: skip
    titles = ("VMAs", *["VMA pages"] * wide, "pages each", "boots", "unnamed fork")
    for title in titles:
        table.add_column(title, justify="right")
    table.add_column("unit")
    for row in rows:
        table.add_row(
            printable(row.kernel),
            printable(row.base),
            printable(f"{row.target} {row.machine}"),
            f"{row.vmas:,}",
            *[str(row.vma_pages)] * wide,
            str(row.written_pages),
            str(row.boots),
            f"{row.unnamed:,.0f} ±{_part(row.spread, row.unnamed)}",
            row.unit,
        )
    console.print()
    console.print("What fork costs without names, on kernels measured only so")
    console.print(table)


def _fork_table(rows: Sequence[ForkRow], unit: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    cells = [(row.vmas, row.written_pages, row.naming) for row in rows]
    wide = _vma_pages_differ(cells, rows)
    for title in (
        "VMAs", *["VMA\npages"] * wide, "pages\neach", "names", "boots",
        f"unnamed\nfork, {unit}",
        f"strdup: extra\n{unit} a VMA", "\npercent", "2021\npercent",
        f"refcount: extra\n{unit} a VMA", "\npercent", "2021\npercent", "\nratio",
    ):  # fmt: skip
        justify: JustifyMethod = "left" if title == "names" else "right"
        table.add_column(title, justify=justify, no_wrap=True)
    for row in rows:
        either = row.strdup or row.refcounted
        assert either is not None
        published = row.published or {}
        table.add_row(
            f"{row.vmas:,}",
            *[str(row.vma_pages)] * wide,
            str(row.written_pages),
            printable(row.naming),
            str(either.boots),
            _baseline(row),
            *_effect(row.strdup, unit),
            _percent(published.get("strdup")),
            *_effect(row.refcounted, unit),
            _percent(published.get("refcounted")),
            "" if row.ratio is None else f"{row.ratio:.1f}",
        )
    return table


def _vma_pages_differ(
    cells: Sequence[tuple[object, ...]], rows: Sequence[ForkRow | UnnamedRow]
) -> bool:
    """Whether two rows are alike but for the pages of their VMAs."""
    seen: dict[tuple[object, ...], int] = {}
    return any(
        seen.setdefault(cell, row.vma_pages) != row.vma_pages
        for cell, row in zip(cells, rows, strict=True)
    )


def _baseline(row: ForkRow) -> str:
    values = dict.fromkeys(
        f"{effect.unnamed:,.0f} ±{_part(effect.unnamed_spread, effect.unnamed)}"
        for effect in (row.strdup, row.refcounted)
        if effect is not None
    )
    return "\n".join(values)


def _part(spread: float, middle: float) -> str:
    # Records from elsewhere may say that a fork costs nothing.
    return f"{spread / middle:.2%}" if middle else "?"


def _effect(effect: StoreEffect | None, unit: str) -> tuple[str, str]:
    if effect is None:
        return "", ""
    middle, low, high = effect.extra
    if unit == "insns":
        away = max(middle - low, high - middle)
        return f"{middle:+.1f} ±{away:.1f}", f"{effect.percent[0]:+.2f}"
    _, least, most = effect.percent
    return (
        f"{middle:+.1f} [{low:.1f}, {high:.1f}]",
        f"{effect.percent[0]:+.1f} [{least:.1f}, {most:.1f}]",
    )


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"
