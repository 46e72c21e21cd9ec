from pathlib import Path

import pytest

from harness import AllocationCounts
from harness.analysis.allocation_counts import load_counts, memory_table
from harness.analysis.display.figure import NotebookFigure
from harness.errors import UsageError
from harness.worker.measure import Count, render_record
from tests.synthetic import run_of


def write(path: Path, *, agrees: bool = True) -> Path:
    """A run of ten VMAs, forked twice, on a kernel that copies."""
    run = run_of(run="r", variant="strdup-audit", vmas=10, naming="distinct:79")
    lines = [render_record(run)]
    for step in ("built", "named", "fork 1", "fork 2"):
        made = 0 if step == "built" else 10
        numbers = {"allocated": made, "freed": 0, "96": made, "128": 0}
        lines += [
            render_record(
                Count(run="r", step=step, what=what, predicted=number,
                      counted=number + (not agrees), agrees=agrees)
            )
            for what, number in numbers.items()
        ]  # fmt: skip
    path.write_bytes(b"".join(lines))
    return path


def test_a_fork_s_memory_is_objects_by_their_class(tmp_path: Path) -> None:
    (row,) = memory_table(load_counts(write(tmp_path / "r.jsonl"))).to_dict("records")

    assert (row["variant"], row["structs"], row["of bytes"]) == ("strdup", 10, 96)
    assert row["bytes"] == row["bytes predicted"] == 960


def test_what_differs_is_told_by_both_numbers(tmp_path: Path) -> None:
    counts = load_counts(write(tmp_path / "r.jsonl", agrees=False))
    (row,) = memory_table(counts).to_dict("records")

    assert not counts["agrees"].any()
    assert (row["bytes"], row["bytes predicted"]) == (1056, 960)


def test_records_without_counts_are_one_error(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_bytes(b"")

    with pytest.raises(UsageError, match="has no counts"):
        load_counts(tmp_path)
    with pytest.raises(UsageError, match="there are no records"):
        load_counts(tmp_path / "nope")


def test_one_object_has_tables_a_plot_and_an_answer(tmp_path: Path) -> None:
    counts = AllocationCounts.load(str(write(tmp_path / "r.jsonl")))

    (row,) = counts.memory().to_dict("records")
    assert (row["bytes by one fork"], row["structs by one fork"]) == (960, 10)
    assert repr(counts.differences()) == "Every number is as the model predicts."
    assert isinstance(counts.plot(), NotebookFigure)
    assert repr(counts) == (
        "strdup: a fork of 10 named VMAs makes 10 structs, 960 bytes in all.\n"
        "16 of 16 numbers are as the model predicts."
    )
    assert "960 bytes" in counts._repr_html_()


def test_numbers_that_differ_are_rows(tmp_path: Path) -> None:
    counts = AllocationCounts.load(write(tmp_path / "r.jsonl", agrees=False))

    assert len(counts.differences()) == 16
    assert "0 of 16 numbers" in counts.answer
