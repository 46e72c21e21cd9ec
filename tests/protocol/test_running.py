"""What both workers play, and what is said of it."""

from collections import Counter
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.worker.measure import parse_job, render_job
from tests.protocol.judging import Held, Number
from tests.protocol.revisions import unpack
from tests.protocol.running import cells_of_job, job_of_boot, table, verdict

FORK = Number("fork", 1000, 1, 0, "none", 0, "any")


def test_both_workers_play_one_order_and_each_boot_has_its_own() -> None:
    cells = cells_of_job()
    first, again, second = (job_of_boot(boot, cells) for boot in (0, 0, 1))

    assert first == again == parse_job(render_job(first))
    assert first.cells != second.cells
    assert Counter(c.cell for c in first.cells) == Counter(c.cell for c in second.cells)


def test_every_metric_is_taken_somewhere() -> None:
    """Naming and renaming need names, splitting a page to spare."""
    assert any(cell.named and cell.layout.splits for cell in cells_of_job())


def test_the_verdict_says_what_to_do_and_the_table_which_numbers() -> None:
    same, other = Held(FORK, 1e6, 0.1, 0.2), Held(FORK, 1e6, -0.3, 0.2)

    assert verdict([same]) == (
        0, "same protocol: no number differs by more than the A/A null",
    )  # fmt: skip
    assert verdict([same, other]) == (
        1, "the protocol number must grow: 1 of 2 numbers differ by more than the A/A "
        "null",
    )  # fmt: skip
    assert [line.endswith("differs") for line in table([same, other]).splitlines()] == [
        False, False, True,
    ]  # fmt: skip


def test_a_revision_is_unpacked_from_git(tmp_path: Path) -> None:
    unpack("HEAD", tmp_path)

    assert (tmp_path / "harness/worker/measure/worker.py").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["harness"]


def test_a_revision_that_git_does_not_know_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no revision '--output=x'"):
        unpack("--output=x", tmp_path)
