from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from harness.analysis import Arm, Cost, CostRow, Effect, Interval, Place, Row
from harness.analysis.stats import Judged, Verdict
from harness.cli.output import (
    print_cost_tables,
    print_effect_tables,
    print_unnamed_table,
    stdout_console,
)

PLACE = Place(
    base="6.12", target="qemu", machine="aarch64", accelerator="tcg icount shift=0",
    unit="insns", variant="switch",
)  # fmt: skip
ARM = Arm(
    vmas=65_536, vma_pages=10, written_pages=10, store="strdup", naming="distinct",
    name_length=79,
)  # fmt: skip


def of(value: float, low: float, high: float) -> Interval:
    """An estimate of four boots."""
    return Interval(value, low, high, 4, "range")


COPIED = Effect(
    place=PLACE, metric="fork", arm=ARM, unnamed=of(1_234_567, 1_233_333, 1_234_600),
    named=of(2e6, 2e6, 2e6), extra=of(204.26, 203.0, 204.5),
    percent=of(26.891, 26.0, 27.0), boots=(), unnamed_by_boot=(), named_by_boot=(),
    percent_by_boot=(), extra_by_boot=(), judged=Judged(Verdict.REGRESSED),
    trusted=True,
)  # fmt: skip
SHARED = replace(
    COPIED, arm=replace(ARM, store="refcounted"), extra=of(-0.06, -2.0, 1.0),
    percent=of(-1.72, -2.0, 0.0),
)  # fmt: skip
ROW = Row(
    place=PLACE, kernels=("switch",), arm=replace(ARM, store="any"), strdup=COPIED,
    refcounted=SHARED, ratio=of(15.66, 15.6, 15.71),
    published={"strdup": 14.13, "refcounted": 5.39},
)  # fmt: skip
UNNAMED = Cost(
    place=replace(PLACE, base="6.1", unit="ns", variant="none"), metric="fork",
    arm=Arm(vmas=1_000, vma_pages=1, written_pages=1, store="any", naming="none",
            name_length=0),
    total=Interval(200_000.4, 199_900, 200_500, 3, "range"),
    per_vma=of(200, 199, 201), by_boot=(), alike=None,
)  # fmt: skip


TITLE = (
    "What names cost at fork: linux 6.12, kernel switch, "
    "qemu aarch64 (tcg icount shift=0)"
)


@pytest.fixture
def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Console], None]], list[str]]:
    """What is printed, as lines of words that stand two spaces apart or more."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)

    def lines(show: Callable[[Console], None]) -> list[str]:
        show(stdout_console())
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return lines


Printed = Callable[[Callable[[Console], None]], list[str]]


def cell_lines(printed: Printed, rows: Sequence[Row]) -> list[str]:
    """The lines of cells, one per store."""
    lines = printed(lambda console: print_effect_tables(rows, console))
    return [line for line in lines if " ±" in line and "bounds" not in line]


def test_a_table_says_what_each_column_is(printed: Printed) -> None:
    lines = printed(lambda console: print_effect_tables([ROW], console))

    assert lines[:2] == ["", TITLE]
    assert lines[3:5] == [
        "pages unnamed fork, extra per VMA, extra, 2021,",
        "VMAs written names store boots insns insns percent percent times less",
    ]
    assert lines[6:8] == [
        "65,536 10 distinct:79 strdup 4 1,234,567 ±0.10% +204.3 [203.0, 204.5] "
        "+26.89 [26.00, 27.00] +14.13",
        "refcount 4 1,234,567 ±0.10% -0.1 [-2.0, 1.0] -1.72 [-2.00, 0.00] +5.39 "
        "15.7 [15.6, 15.7]",
    ]
    assert lines[9].startswith("insns: instructions that the whole guest executed")
    assert lines[10].startswith(
        "extra: named - unnamed within one kernel, boot and block"
    )


def test_another_metric_is_called_by_its_name(printed: Printed) -> None:
    rows = [replace(ROW, strdup=replace(COPIED, metric="exit_reap"), published={})]

    lines = printed(lambda console: print_effect_tables(rows, console))

    assert lines[1] == TITLE.replace("fork", "exit")
    assert not [line for line in lines if "2021" in line]


def test_what_only_named_processes_do_has_a_table(printed: Printed) -> None:
    cost = Cost(
        place=PLACE, metric="name", arm=ARM, total=of(9e8, 8.9e8, 9.1e8),
        per_vma=of(13_797.3, 13_777.6, 13_817.4), by_boot=(), alike=True,
    )  # fmt: skip
    unlike, unknown = replace(cost, alike=False), replace(cost, alike=None)
    rows = [
        CostRow(place=PLACE, arm=ARM, strdup=cost, refcounted=unlike),
        CostRow(place=PLACE, arm=ARM, strdup=None, refcounted=unknown),
    ]

    lines = printed(lambda console: print_cost_tables(rows, console))

    assert lines[1].startswith("What naming costs: linux 6.12, kernel switch")
    per_vma = "13,797.3 [13,777.6, 13,817.4]"
    assert [line.partition("%")[2].strip() for line in lines[6:9]] == [
        f"{per_vma} alike", f"{per_vma} DIFFER", f"{per_vma} not measured",
    ]  # fmt: skip


def test_the_pages_of_a_vma_are_shown_where_it_has_more_than_are_written(
    printed: Printed,
) -> None:
    wide = replace(ROW, arm=replace(ROW.arm, vma_pages=20))

    lines = cell_lines(printed, [ROW, wide])

    assert [line.split()[1] for line in lines[::2]] == ["10", "10/20"]


def test_a_cell_is_blank_where_nothing_is_known(printed: Printed) -> None:
    rows = [
        replace(ROW, published={}, ratio=None),
        replace(ROW, strdup=None, ratio=None, published={}),
    ]

    lines = cell_lines(printed, rows)

    shared = "refcount 4 1,234,567 ±0.10% -0.1 [-2.0, 1.0] -1.72 [-2.00, 0.00]"
    assert lines[1:] == [shared, f"65,536 10 distinct:79 {shared}"]


def test_two_kernels_show_both_of_their_baselines(printed: Printed) -> None:
    other = replace(SHARED, unnamed=of(1_000_000.0, 1_000_000.0, 1_000_000.0))
    row = replace(ROW, kernels=("refcount", "strdup"), refcounted=other)

    lines = printed(lambda console: print_effect_tables([row], console))

    assert TITLE.replace("switch", "refcount and strdup") in lines
    assert [line for line in lines if "1,000,000 ±0.00%" in line]


def test_each_base_and_kernel_has_a_table_and_the_notes_stand_once(
    printed: Printed,
) -> None:
    rows = [
        ROW, replace(ROW, arm=replace(ROW.arm, vmas=5)),
        replace(ROW, place=replace(PLACE, base="6.1")),
        replace(ROW, kernels=("strdup",)),
        replace(ROW, place=replace(PLACE, unit="ns")),
        replace(ROW, place=replace(PLACE, target="uml")),
    ]  # fmt: skip

    lines = printed(lambda console: print_effect_tables(rows, console))

    assert [line for line in lines if line.startswith("What names")] == [
        TITLE,
        TITLE.replace("6.12", "6.1"),
        TITLE.replace("switch", "strdup"),
        TITLE,
        TITLE.replace("qemu", "uml"),
    ]
    for note in ("insns: ", "ns: ", "extra: "):
        assert len([line for line in lines if line.startswith(note)]) == 1


def test_an_unnamed_table_has_a_row_a_kernel(printed: Printed) -> None:
    lines = printed(lambda console: print_unnamed_table([UNNAMED], console))

    assert lines[:2] == [
        "",
        "What fork costs without names, on kernels that have unnamed cells only",
    ]
    assert lines[3] == "kernel base where VMAs pages boots unnamed unit"
    assert lines[5] == "none 6.1 qemu aarch64 1,000 1 3 200,000 ±0.25% ns"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("[red]x[/red]", "[red]x[/red]"),
        ("[/x]", "[/x]"),
        (":smile:", ":smile:"),
        ("a\x1b[2Jb\r\nc", r"a\x1b[2Jb\r\nc"),
    ],
)
def test_words_from_records_neither_style_nor_steer(
    printed: Printed, hostile: str, shown: str
) -> None:
    place = replace(
        PLACE, base=hostile, target=hostile, machine=hostile, accelerator=hostile,
        variant=hostile,
    )  # fmt: skip
    arm = replace(ROW.arm, naming=hostile)
    row = replace(ROW, place=place, kernels=(hostile,), arm=arm)
    unnamed = replace(UNNAMED, place=place)

    forks = printed(lambda console: print_effect_tables([row], console))
    without = printed(lambda console: print_unnamed_table([unnamed], console))

    where = f"{shown} {shown} ({shown})"
    title = f"What names cost at fork: linux {shown}, kernel {shown}, {where}"
    assert forks[1] == title
    assert f"65,536 10 {shown}:79 strdup 4" in "\n".join(forks)
    assert f"{shown} {shown} {shown} {shown} 1,000" in "\n".join(without)
