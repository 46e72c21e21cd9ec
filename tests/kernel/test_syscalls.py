"""The calls that a workload really makes, seen by a tracer."""

import errno
import mmap
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from typing import cast
from unittest.mock import patch

import pytest

from harness.errors import CheckFailed
from harness.linux import set_anon_name, timed_fork, timed_wait
from harness.linux.uapi import PR_SET_VMA, PR_SET_VMA_ANON_NAME
from harness.worker.measure import Conditions, Run, Unit
from harness.worker.measure.arena import CLOCK, Arena, NamingLoop, give_names
from harness.worker.measure.experiment import CellRequest, measure_cell
from harness.worker.measure.facts import kernel_facts
from harness.workload import GUARD_PAGES, Cell, Layout, layout_of, naming_from_label
from tests.tracer import TracedCall, traced_calls

pytestmark = pytest.mark.kernel

PAGE = mmap.PAGESIZE
VMAS = 40
SET_VMA = "set_vma"
# What a clock read is while traced: the vdso makes no call that could be seen, and
# User-Mode Linux's makes one. Nothing of ours asks for its parent otherwise.
CLOCK_READ = "getppid"


def names_of(calls: list[TracedCall]) -> list[str]:
    """The calls' names; namings as ``set_vma``."""
    return [
        SET_VMA if c.name == "prctl" and c.words[0] == PR_SET_VMA else c.name
        for c in calls
    ]


def counted(work: Callable[[], None]) -> Counter[str]:
    """How often ``work`` makes each call."""
    return Counter(names_of(traced_calls(work)))


def between_clock_reads(work: Callable[[], None]) -> list[list[TracedCall]]:
    """What ``work`` calls between each clock read and the next, where it is anything.

    What it called before the first and after the last is not told.
    """

    def clock_read(clock: int) -> int:
        return os.getppid() + clock

    def with_visible_clock() -> None:
        with patch("time.clock_gettime_ns", clock_read):
            work()

    calls = traced_calls(with_visible_clock)
    parts = [list(part) for _, part in groupby(calls, lambda c: c.name == CLOCK_READ)]
    assert sum(part[0].name == CLOCK_READ for part in parts) >= 2
    return [part for part in parts[1:-1] if part[0].name != CLOCK_READ]


def timed(parts: list[list[TracedCall]], call: str) -> list[list[TracedCall]]:
    """The parts in which a call is made."""
    return [part for part in parts if call in names_of(part)]


def measured(label: str) -> list[list[TracedCall]]:
    """What a cell calls between clock reads: one warmup, three repetitions."""
    layout = Layout(vmas=VMAS, vma_pages=2, written_pages=1)
    store = kernel_facts().stores[0]
    conditions = Conditions(
        target="host", accelerator="native", unit=Unit.NS, settle_ms=0
    )
    request = CellRequest(
        cell=Cell(store=store, layout=layout, naming=naming_from_label(label)),
        run="r", conditions=conditions, seed=1, warmups=1, repetitions=3,
        describe=lambda lines: cast(Run, lines), current_store=lambda: store,
        emit=lambda record: None,
    )  # fmt: skip
    return between_clock_reads(lambda: measure_cell(request))


@pytest.mark.parametrize(
    ("label", "namings"),
    [
        ("shared:20", 1),
        ("distinct:20", VMAS),
        ("distinct-same-text:20", VMAS),
    ],
)
def test_a_scheme_makes_the_calls_that_it_says(label: str, namings: int) -> None:
    naming = naming_from_label(label)
    arena = Arena(layout_of(VMAS, 0), seed=1)
    first, length = arena.start + GUARD_PAGES * PAGE, VMAS * PAGE

    def name() -> None:
        with arena.naming_loop(naming) as loop:
            give_names(loop, CLOCK)

    calls = traced_calls(name)
    (timed_part,) = between_clock_reads(name)

    arena.unmap()
    named = [c for c in calls if c.words[0] == PR_SET_VMA and c.name == "prctl"]
    # One over the whole range, or one for each VMA, in order: these and no other.
    each = length // namings
    assert [c.words[:4] for c in named] == [
        (PR_SET_VMA, PR_SET_VMA_ANON_NAME, first + i * each, each)
        for i in range(namings)
    ]
    # Each from a text of its own.
    assert len({c.words[4] for c in named}) == namings
    assert names_of(timed_part) == [SET_VMA] * namings
    # The texts' own mapping, made and gone.
    count = Counter(names_of(calls))
    assert (count["mmap"], count["munmap"]) == (1, 1)
    assert count["mprotect"] == 0


def test_a_layout_is_split_by_one_call_for_every_other_vma() -> None:
    calls = counted(lambda: Arena(layout_of(VMAS, 0), seed=1).unmap())

    assert calls["mprotect"] == 1 + VMAS // 2
    # The reservation with a page on each side; these two, and then the rest.
    assert (calls["mmap"], calls["munmap"]) == (1, 3)
    assert calls[SET_VMA] == 0


def test_a_timed_fork_is_one_clone_and_one_wait() -> None:
    def fork() -> None:
        pid, _, _ = timed_fork(CLOCK)
        if pid == 0:
            os._exit(0)
        timed_wait(pid, CLOCK)

    # Between the two the clock does not run, and the interpreter may take memory.
    parts = between_clock_reads(fork)
    (clone,), (wait,) = timed(parts, "clone"), timed(parts, "wait4")

    assert [(c.name, c.words[:5]) for c in clone] == [
        ("clone", (signal.SIGCHLD, 0, 0, 0, 0))
    ]
    assert names_of(wait) == ["wait4"]
    assert {k: v for k, v in counted(fork).items() if k in ("clone", "wait4")} == {
        "clone": 1,
        "wait4": 1,
    }


@pytest.mark.parametrize(
    ("label", "namings"), [("none", 0), ("shared:20", 1), ("distinct:20", VMAS)]
)
def test_a_cell_makes_these_calls_and_no_other_while_the_clock_runs(
    label: str, namings: int
) -> None:
    parts = measured(label)

    # Named, and named anew.
    assert [names_of(part) for part in timed(parts, SET_VMA)] == [
        [SET_VMA] * namings
    ] * (2 if namings else 0)
    # The check's child, the warmup's, and one for each repetition.
    assert [names_of(part) for part in timed(parts, "clone")] == [["clone"]] * 5
    assert [names_of(part) for part in timed(parts, "wait4")] == [["wait4"]] * 5
    # Every VMA cut in two.
    assert [names_of(part) for part in timed(parts, "mprotect")] == [
        ["mprotect"] * VMAS
    ]
    assert names_of(parts[-1]) == ["munmap"]


def test_what_a_clock_runs_for_is_seen_to_hold_a_call_too_many() -> None:
    """The test of the tests above: a naming loop that calls once more."""

    def name_and_more(loop: NamingLoop, clock: int) -> tuple[int, int]:
        before = time.clock_gettime_ns(clock)
        set_anon_name(loop.start, loop.length, loop.text)
        os.getpgid(0)
        return before, time.clock_gettime_ns(clock)

    with patch("harness.worker.measure.experiment.give_names", name_and_more):
        parts = timed(measured("shared:20"), SET_VMA)

    assert [names_of(part) for part in parts] == [[SET_VMA, "getpgid"]] * 2


def test_calls_of_a_process_that_failed_are_an_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, "on purpose")

    with pytest.raises(CheckFailed, match="to end with status 0"):
        traced_calls(fail)

    assert "on purpose" in capfd.readouterr().err
    # Nor is anything left of it.
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
