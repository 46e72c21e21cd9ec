"""A DataFrame that shows all its rows: in a notebook, on a code host, as text.

pandas cuts long texts and drops columns. A ``Table`` shows every word of up to
``MOST_ROWS`` rows. It writes an estimate and its bounds as one cell, with the digits of
pages, mails and the command line. Values that all rows of a group share, such as the
kernel, are shown once above the rows. Otherwise it is an ordinary DataFrame.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from harness.analysis.display.formats import (
    AA_PERCENT,
    PER_VMA,
    PERCENT,
    TIMES,
    WHOLE,
    shown,
)
from harness.analysis.display.markup import rendered
from harness.analysis.stats import Interval
from harness.host.programs import printable

_T = TypeVar("_T")
# For each column, the function that takes its value from the object of a row.
Columns = Mapping[str, Callable[[_T], object]]

MOST_ROWS, SHOWN_OF_MORE = 60, 10
LOW, HIGH = ", low", ", high"
_EMPTY = "empty"

# Shown once above the rows that share it. The words of a kernel end with its unit.
_GROUP = "kernel"
_COMMON = ("metric", "pages per VMA", "written pages per VMA", "boots")
# Decimal places by column, and whether a plus is written.
PLACES: dict[str, tuple[int, bool]] = {
    "cost": (WHOLE, False),
    "cost unnamed": (WHOLE, False),
    "cost per VMA": (PER_VMA, False),
    "cost at 0 VMAs": (WHOLE, False),
    "extra per VMA": (PER_VMA, True),
    "extra percent": (PERCENT, True),
    "published percent": (PERCENT, True),
    "difference percent": (AA_PERCENT, True),
    "times less": (TIMES, False),
    "median": (WHOLE, False),
    "spread percent": (AA_PERCENT, False),
}


class Table(pd.DataFrame):
    """A DataFrame whose notebook and text forms are complete."""

    @property
    def _constructor(self) -> Callable[..., "Table"]:
        return Table

    def shown_when_empty(self, words: str) -> "Table":
        """The same table; it shows ``words`` if it has no rows."""
        self.attrs[_EMPTY] = words
        return self

    def _repr_html_(self) -> str:
        return rendered("table.html", **self.shown())

    def shown(self) -> dict[str, object]:
        """The values of the table's template: the groups of rows, and a note."""
        return {"groups": list(_groups(self)), "note": _note(self)}

    def __repr__(self) -> str:
        blocks = [_block(group) for group in _groups(self)]
        return "\n\n".join(filter(None, [*blocks, _note(self)]))

    def __str__(self) -> str:
        return repr(self)


def table_of(found: Sequence[_T], columns: Columns[_T], *, empty: str) -> Table:
    """One row per object in ``found``; shows ``empty`` if there are none."""
    rows = [[value(each) for value in columns.values()] for each in found]
    return Table(rows, columns=list(columns)).shown_when_empty(empty)


def estimate_of(name: str, estimate: Callable[[_T], Interval]) -> Columns[_T]:
    """The three columns of an estimate, rounded to the digits that are shown."""
    places, _ = PLACES[name]
    return {
        name: lambda each: round(estimate(each).value, places),
        name + LOW: lambda each: round(estimate(each).low, places),
        name + HIGH: lambda each: round(estimate(each).high, places),
    }


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    cells: list[str]
    side: str

    @property
    def style(self) -> str:
        """The CSS of its cells: a number and its bounds stay on one line."""
        return f"text-align: {self.side}" + "; white-space: nowrap" * (
            self.side == "right"
        )


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows with the common facts in ``words``."""

    words: str
    columns: list[_Column]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))


def _groups(table: pd.DataFrame) -> Iterator[_Group]:
    rows = _with_index(table.head(_rows_shown(table)))
    if rows.empty:
        return
    if _GROUP not in rows.columns:
        yield _Group("", _columns(rows))
        return
    common = [
        name for name in _COMMON
        if name in rows.columns and rows[name].nunique(dropna=False) == 1
    ]  # fmt: skip
    for kernel, group in rows.groupby(_GROUP, sort=False, observed=True):
        words = [str(kernel), *(f"{name}: {group[name].iloc[0]}" for name in common)]
        own = group.drop(columns=[_GROUP, "unit", *common], errors="ignore")
        yield _Group(printable("; ".join(words)), _columns(own))


def _with_index(rows: pd.DataFrame) -> pd.DataFrame:
    # Row numbers carry no information, labels do.
    labels = rows.index.nlevels > 1 or rows.index.name is not None
    numbers = pd.api.types.is_integer_dtype(rows.index.dtype)
    return rows.reset_index() if labels or not numbers else rows


def _columns(rows: pd.DataFrame) -> list[_Column]:
    names = list(map(str, rows.columns))
    by_name = dict(zip(names, range(len(names)), strict=True))
    columns = []
    for at, name in enumerate(names):
        if _estimate_in(name.removesuffix(LOW), by_name) and name.endswith(LOW):
            continue
        if _estimate_in(name.removesuffix(HIGH), by_name) and name.endswith(HIGH):
            continue
        values = rows.iloc[:, at]
        if _estimate_in(name, by_name):
            bounds = (rows.iloc[:, by_name[name + end]] for end in (LOW, HIGH))
            cells = [
                _estimate(name, *each) for each in zip(values, *bounds, strict=True)
            ]
        else:
            cells = [_cell(name, value) for value in values]
        numbers = pd.api.types.is_numeric_dtype(values.dtype)
        numbers = numbers and not pd.api.types.is_bool_dtype(values.dtype)
        columns.append(_Column(printable(name), cells, "right" if numbers else "left"))
    return columns


def _estimate_in(name: str, columns: Mapping[str, int]) -> bool:
    return name in PLACES and {name, name + LOW, name + HIGH} <= columns.keys()


def _estimate(name: str, value: float, low: float, high: float) -> str:
    places, sign = PLACES[name]
    return shown(Interval(value, low, high, 0, ""), places, sign=sign)


def _cell(name: str, value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float | np.floating) or name in PLACES:
        places, sign = PLACES.get(name, (None, False))
        form = ",.10g" if places is None else f",.{places}f"
        return format(value, ("+" if sign else "") + form)
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return printable(str(value))


def _note(table: pd.DataFrame) -> str:
    if table.empty:
        return str(table.attrs.get(_EMPTY, "no rows"))
    if (rows := _rows_shown(table)) < len(table):
        return f"the first {rows} of {len(table):,} rows"
    return ""


def _rows_shown(table: pd.DataFrame) -> int:
    return len(table) if len(table) <= MOST_ROWS else SHOWN_OF_MORE


def _block(group: _Group) -> str:
    """The columns as text, each as wide as its longest cell."""
    sided = []
    for column in group.columns:
        lines = [column.name, *column.cells]
        width = max(map(len, lines))
        side = str.rjust if column.side == "right" else str.ljust
        sided.append([side(line, width) for line in lines])
    lines = ["  ".join(row).rstrip() for row in zip(*sided, strict=True)]
    return "\n".join([*filter(None, [group.words]), *lines])
