from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from harness.analysis import ForkRow, StoreEffect, UnnamedRow
from harness.cli.tables import (
    print_fork_tables,
    print_unnamed_table,
    stdout_console,
)

COPIED = StoreEffect(
    boots=4, unnamed=1_234_567.0, unnamed_spread=1234.5,
    extra=(204.26, 203.0, 204.5), percent=(26.891, 26.0, 27.0),
)  # fmt: skip
SHARED = replace(COPIED, extra=(-0.06, -2.0, 1.0), percent=(-1.72, -2.0, 0.0))
ROW = ForkRow(
    base="6.12", target="qemu", machine="aarch64",
    accelerator="tcg icount shift=0", unit="insns", kernels=("switch",),
    vmas=65_536, vma_pages=10, written_pages=10,
    naming="distinct:79", strdup=COPIED, refcounted=SHARED, ratio=15.66,
    published={"strdup": 14.13, "refcounted": 5.39},
)  # fmt: skip
UNNAMED = UnnamedRow(
    base="6.1", target="qemu", machine="aarch64", unit="ns", kernel="none", vmas=1_000,
    vma_pages=1, written_pages=1, boots=3, unnamed=200_000.4, spread=500.0,
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


def fork_lines(printed: Printed, rows: Sequence[ForkRow]) -> list[str]:
    """The lines that begin with a number: those of the cells."""
    lines = printed(lambda console: print_fork_tables(rows, console))
    return [line for line in lines if line[:1].isdigit()]


def test_a_fork_table_says_what_each_column_is(printed: Printed) -> None:
    lines = printed(lambda console: print_fork_tables([ROW], console))

    assert lines[:2] == ["", TITLE]
    assert lines[3:5] == [
        "pages unnamed strdup: extra 2021 refcount: extra 2021",
        "VMAs each names boots fork, insns insns a VMA percent percent "
        "insns a VMA percent percent ratio",
    ]
    assert lines[6] == (
        "65,536 10 distinct:79 4 1,234,567 ±0.10% "
        "+204.3 ±1.3 +26.89 +14.13 -0.1 ±1.9 -1.72 +5.39 15.7"
    )
    assert lines[8].startswith("insns: instructions of the whole guest")
    assert lines[9].startswith(
        "extra: named - unnamed within one kernel, boot and block"
    )


def test_time_is_shown_with_its_interval(printed: Printed) -> None:
    assert fork_lines(printed, [replace(ROW, unit="ns", refcounted=None)]) == [
        "65,536 10 distinct:79 4 1,234,567 ±0.10% +204.3 [203.0, 204.5] "
        "+26.9 [26.0, 27.0] +14.13 +5.39 15.7"
    ]


@pytest.mark.parametrize("vmas", [65_536, 1])
def test_the_pages_of_a_vma_are_shown_where_cells_are_else_alike(
    printed: Printed, vmas: int
) -> None:
    rows = [ROW, replace(ROW, vma_pages=20, vmas=vmas)]
    unnamed = [
        UNNAMED,
        replace(UNNAMED, vma_pages=20, vmas=vmas if vmas == 1 else 1000),
    ]

    cells = fork_lines(printed, rows)
    alone = printed(lambda console: print_unnamed_table(unnamed, console))

    alike = vmas == 65_536
    assert [line.split()[1] for line in cells] == (
        ["10", "20"] if alike else ["10"] * 2
    )
    assert ("VMA pages" in alone[3]) == alike


def test_a_cell_is_blank_where_nothing_is_known(printed: Printed) -> None:
    rows = [
        replace(ROW, published=None, ratio=None),
        replace(ROW, strdup=None, ratio=None, published=None),
        replace(ROW, refcounted=None, ratio=None, published=None),
    ]

    assert fork_lines(printed, rows) == [
        "65,536 10 distinct:79 4 1,234,567 ±0.10% +204.3 ±1.3 +26.89 -0.1 ±1.9 -1.72",
        "65,536 10 distinct:79 4 1,234,567 ±0.10% -0.1 ±1.9 -1.72",
        "65,536 10 distinct:79 4 1,234,567 ±0.10% +204.3 ±1.3 +26.89",
    ]


def test_what_is_far_from_its_column_s_left_is_still_in_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [ROW, replace(ROW, strdup=None, ratio=None, published=None)]
    print_fork_tables(rows, stdout_console())

    whole, partly = (
        line for line in capsys.readouterr().out.splitlines() if "65,536" in line
    )
    assert whole.index("-0.1 ±1.9") == partly.index("-0.1 ±1.9")


def test_two_kernels_show_both_of_their_baselines(printed: Printed) -> None:
    other = replace(SHARED, unnamed=1_000_000.0, unnamed_spread=0.0)
    row = replace(ROW, kernels=("refcount", "strdup"), refcounted=other)

    lines = printed(lambda console: print_fork_tables([row], console))

    assert TITLE.replace("switch", "refcount and strdup") in lines
    assert "1,000,000 ±0.00%" in lines


def test_each_base_and_kernel_has_a_table_and_the_notes_stand_once(
    printed: Printed,
) -> None:
    rows = [
        ROW, replace(ROW, vmas=5), replace(ROW, base="6.1"),
        replace(ROW, kernels=("strdup",)), replace(ROW, unit="ns"),
        replace(ROW, target="uml"),
    ]  # fmt: skip

    lines = printed(lambda console: print_fork_tables(rows, console))

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
    lines = printed(
        lambda console: print_unnamed_table(
            [UNNAMED, replace(UNNAMED, spread=0.0)], console
        )
    )

    assert lines[:2] == [
        "",
        "What fork costs without names, on kernels measured only so",
    ]
    assert lines[3] == "kernel base where VMAs pages each boots unnamed fork unit"
    assert lines[5:7] == [
        "none 6.1 qemu aarch64 1,000 1 3 200,000 ±0.25% ns",
        "none 6.1 qemu aarch64 1,000 1 3 200,000 ±0.00% ns",
    ]


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
    row = replace(
        ROW, base=hostile, kernels=(hostile,), naming=hostile, target=hostile,
        machine=hostile, accelerator=hostile,
    )  # fmt: skip
    unnamed = replace(UNNAMED, base=hostile, kernel=hostile, target=hostile)

    forks = printed(lambda console: print_fork_tables([row], console))
    without = printed(lambda console: print_unnamed_table([unnamed], console))

    place = f"{shown} {shown} ({shown})"
    title = f"What names cost at fork: linux {shown}, kernel {shown}, {place}"
    assert forks[1] == title
    assert f"65,536 10 {shown} 4" in "\n".join(forks)
    assert f"{shown} {shown} {shown} aarch64 1,000" in "\n".join(without)
