"""What a cell's process records of its forks, whatever becomes of their children."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from harness.linux import pin_to_one_cpu, timed_fork
from harness.worker.measure import Record, Sample, experiment
from harness.worker.measure.conditions import SILICON_HOST
from harness.worker.measure.experiment import CellRequest
from harness.workload import Cell, Store, layout_of, naming_from_label

Forks = list[tuple[str, int, bool, str]]
_KILLED = "the child was killed by signal 9"


@pytest.fixture(autouse=True)
def one_cpu() -> Iterator[None]:
    """As the worker has it."""
    allowed = os.sched_getaffinity(0)
    pin_to_one_cpu()
    yield
    os.sched_setaffinity(0, allowed)


def forks_of(repetitions: int) -> list[Sample]:
    """The samples of so many forks of this very process."""
    samples = []

    def emit(record: Record) -> None:
        assert isinstance(record, Sample)
        samples.append(record)

    request = CellRequest(
        cell=Cell(
            store=Store.ABSENT, layout=layout_of(2, 0), naming=naming_from_label("none")
        ),
        run="r", conditions=SILICON_HOST, seed=1, warmups=0, repetitions=repetitions,
        describe=lambda lines: pytest.fail("described"),
        current_store=lambda: Store.ABSENT, emit=emit,
    )  # fmt: skip
    experiment._take_forks(experiment._Recorder(request))
    return samples


def told(samples: list[Sample]) -> Forks:
    """Metric, repetition, whether valid and why not."""
    return [(s.metric, s.repetition, s.valid, s.reason) for s in samples]


def in_child(number: int, do: Callable[[], None]) -> Callable[[int], tuple[int, ...]]:
    """A fork whose child number so-and-so does something first.

    The others' clocks are far past the parent's: they cannot have run too early.
    """
    forks = 0

    def fork(clock: int) -> tuple[int, ...]:
        nonlocal forks
        forks += 1
        pid, before, after = timed_fork(clock)
        if pid == 0:
            if forks == number:
                do()
            after += 10**9
        return pid, before, after

    return fork


def kill_myself(status: int = 0) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def test_a_child_that_is_killed_leaves_no_valid_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor the clock of the child before it, which was once taken for its own."""
    monkeypatch.setattr(experiment, "timed_fork", in_child(2, kill_myself))

    samples = forks_of(3)

    assert told(samples) == [
        ("fork", 0, True, ""), ("exit_reap", 0, True, ""),
        ("fork", 1, False, _KILLED), ("exit_reap", 1, False, _KILLED),
        ("fork", 2, True, ""), ("exit_reap", 2, True, ""),
    ]  # fmt: skip
    # Nothing was measured, and nothing that looks like it is kept.
    assert samples[3].value == 0
    assert [s.order for s in samples] == list(range(6))


def test_a_child_that_is_killed_as_it_leaves_was_forked_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its clock says that it ran when it should; it is its exit that was none."""
    monkeypatch.setattr(experiment, "timed_fork", in_child(0, lambda: None))
    monkeypatch.setattr(os, "_exit", kill_myself)

    assert told(forks_of(1)) == [
        ("fork", 0, True, ""), ("exit_reap", 0, False, _KILLED),
    ]  # fmt: skip


def test_the_reason_is_how_the_child_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "timed_fork", in_child(1, lambda: os._exit(3)))

    reason = "the child ended with status 3"
    assert told(forks_of(1)) == [
        ("fork", 0, False, reason), ("exit_reap", 0, False, reason),
    ]  # fmt: skip


def test_a_child_that_ran_too_early_has_another_reason_than_a_killed_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def early(clock: int) -> tuple[int, int, int]:
        pid, before, after = timed_fork(clock)
        return pid, before, after if pid else before

    monkeypatch.setattr(experiment, "timed_fork", early)

    assert told(forks_of(1)) == [
        ("fork", 0, False, "the child ran before fork returned"),
        ("exit_reap", 0, True, ""),
    ]  # fmt: skip
