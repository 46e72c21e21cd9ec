import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from harness.analysis.display.table import MOST_ROWS, PLACES, Table, table_of

HOSTILE = '<script>alert(1)</script> & "$x$" \x1b[2J'


class Cells(HTMLParser):
    """What a page shows, element by element, and which elements it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


def cells_of(table: Table) -> list[str]:
    """Every text that a table shows in a notebook."""
    return Cells(table._repr_html_()).texts


LONG = "linux 6.12 switch, qemu aarch64 (tcg icount shift=0), insns " + "x" * 200


def test_a_text_is_shown_whole_however_long_it_is() -> None:
    table = Table({"what": [LONG], **{f"column {n}": [n] for n in range(40)}})

    assert LONG in cells_of(table)
    assert LONG in repr(table)
    for n in range(40):
        assert f"column {n}" in cells_of(table)
    assert "..." not in repr(table)


def test_rows_that_are_left_out_are_counted() -> None:
    whole = Table({"n": range(MOST_ROWS)})
    more = Table({"n": range(MOST_ROWS + 1)})

    assert str(MOST_ROWS - 1) in cells_of(whole)
    assert "rows" not in repr(whole)
    for shown in (cells_of(more)[-1], repr(more).splitlines()[-1]):
        assert shown == "the first 10 of 61 rows"


@pytest.mark.parametrize("name", PLACES)
def test_an_estimate_and_its_bounds_are_one_cell(name: str) -> None:
    places, sign = PLACES[name]
    table = Table({name: [1234.5], f"{name}, low": [1.25], f"{name}, high": [2000.75]})

    header, cell = cells_of(table)

    assert header == name
    value = f"{1234.5:{'+' if sign else ''},.{places}f}"
    assert cell == f"{value} [{1.25:,.{places}f}, {2000.75:,.{places}f}]"


def test_columns_that_only_look_like_bounds_are_shown() -> None:
    table = Table({"tide, low": [1], "tide, high": [2]})

    assert cells_of(table) == ["tide, low", "tide, high", "1", "2"]


def test_what_all_rows_share_is_said_once_above_them() -> None:
    table = Table(
        {
            "kernel": ["a, ns", "a, ns", "b, insns"],
            "metric": ["fork"] * 3,
            "unit": ["ns", "ns", "insns"],
            "boots": [4, 4, 8],
            "VMAs": [1, 2, 3],
        }
    )

    assert repr(table) == (
        "a, ns; metric: fork\nboots  VMAs\n    4     1\n    4     2\n\n"
        "b, insns; metric: fork\nboots  VMAs\n    8     3"
    )
    assert cells_of(table)[0] == "a, ns; metric: fork"


def test_values_are_written_for_people() -> None:
    table = Table(
        {
            "int": [1234567], "float": [0.5], "yes": [True], "none": [None],
            "nan": [float("nan")], "numpy": [np.float64(2.5)], "text": ["a"],
        }
    )  # fmt: skip

    assert repr(table).splitlines()[1].split() == [
        "1,234,567", "0.5", "yes", "2.5", "a",
    ]  # fmt: skip


def test_labels_are_shown_and_row_numbers_are_not() -> None:
    table = Table({"n": [5, 6]}, index=[10, 11])
    by_label = Table(table.describe())

    assert cells_of(table) == ["n", "5", "6"]
    assert "mean" in cells_of(by_label)


def test_whatever_is_in_a_table_is_shown_as_text() -> None:
    table = Table({HOSTILE: [HOSTILE], "kernel": [HOSTILE], "metric": [HOSTILE]})

    page = table._repr_html_()

    parsed = Cells(page)
    assert "script" not in parsed.elements
    assert "\x1b" not in page + repr(table)
    assert sum("<script>alert(1)</script>" in text for text in parsed.texts) == 3


def test_an_empty_table_says_why_and_has_its_columns() -> None:
    table = table_of([], {"VMAs": lambda each: each}, empty="Nothing <was> measured.")

    assert list(table.columns) == ["VMAs"]
    assert repr(table) == "Nothing <was> measured."
    assert cells_of(table) == ["Nothing <was> measured."]


def test_a_part_of_a_table_is_a_table() -> None:
    table = Table({"kernel": ["a", "b"], "n": [1, 2]})

    for part in (table[["n"]], table[table["n"] > 1], table.head(1), table.iloc[:1]):
        assert isinstance(part, Table)
    assert isinstance(table["n"], pd.Series)


def test_the_settings_of_pandas_are_those_of_its_owner() -> None:
    before = {name: pd.get_option(name) for name in (
        "display.max_colwidth", "display.max_columns", "display.width",
    )}  # fmt: skip

    repr(Table({"what": [LONG]}))

    assert before == {name: pd.get_option(name) for name in before}
    assert re.search(r"[.]{3}", repr(pd.DataFrame({"what": [LONG]})))
