"""The limit of a trace, with the sysctl and the VMAs in memory."""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.worker.executor.limit import MOST_ADDED, NEAR, ArenaLimit, MapCountLimit
from harness.workload import layout_of, naming_from_label
from harness.workload.layout_steps import layout_steps
from harness.workload.ops import MOST_PAGES, Limit, Protect

# What the interpreter has.
OWN = 70


class Vmas(MapCountLimit):
    """A process whose calls add VMAs; ``readings`` are those of its maps."""

    def __init__(self) -> None:
        self.arena = 3
        self.readings = 0
        self.wide = 65_530
        self.in_force: int | None = None
        self.limit = ArenaLimit(self, self.count)

    def count(self) -> tuple[int, int]:
        self.readings += 1
        return OWN, self.arena

    def widen(self, limit: int) -> None:
        self.wide = max(self.wide, limit + 1000)

    @contextlib.contextmanager
    def held(self, limit: int) -> Iterator[None]:
        self.in_force = limit
        yield
        self.in_force = None

    def call(self, added: int) -> int | None:
        """What was in force during a call that adds so many."""
        with self.limit.for_a_call():
            self.arena += added
            return self.in_force


def test_without_a_limit_nothing_is_read_or_held() -> None:
    vmas = Vmas()

    assert vmas.call(2) is None
    assert vmas.readings == 0


@given(
    st.integers(-100, 4 * NEAR),
    st.lists(st.integers(-MOST_ADDED, MOST_ADDED), max_size=200),
)
@example(-100, [0])
@example(2 * NEAR, [MOST_ADDED] * 50)
@example(2 * NEAR, [MOST_ADDED, -1] * 50)
def test_a_call_that_may_come_near_the_limit_has_it_in_force(
    room: int, calls: Sequence[int]
) -> None:
    vmas = Vmas()
    limit = vmas.arena + room
    vmas.limit.set(room)

    for added in calls:
        left = limit - vmas.arena
        held = vmas.call(min(added, left) if left > 0 else min(added, 0))

        assert held in (None, max(0, OWN + limit))
        assert held is not None or left > NEAR
        assert held is None or left <= NEAR


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_without_the_right_to_change_it_a_setting_is_not_allowed(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        limit = MapCountLimit()

    assert not limit.allowed


def test_what_is_far_from_the_limit_is_seldom_counted() -> None:
    """Each reading of 65 536 lines takes 50 ms."""
    layout = layout_of(65_536, 0)
    steps = layout_steps(layout, naming_from_label("distinct:79"))
    vmas = Vmas()
    for step in steps:
        if isinstance(step.op, Limit):
            vmas.limit.set(step.op.room)
        else:
            vmas.call(2 if isinstance(step.op, Protect) else 0)

    assert len(steps) > 98_000
    assert vmas.readings <= 5
    assert vmas.wide > OWN + vmas.arena


@pytest.mark.parametrize("vmas", [1, 65_536, MOST_PAGES - 2])
def test_a_layout_s_own_trace_never_comes_near_its_limit(vmas: int) -> None:
    steps = layout_steps(layout_of(vmas, 0), naming_from_label("none"))

    (limit,) = [step.op for step in steps if isinstance(step.op, Limit)]
    assert limit.room - vmas > 100_000


def test_a_layout_that_is_too_large_to_be_played_still_has_a_limit() -> None:
    layout = layout_of(300_000, 0)
    steps = layout_steps(layout, naming_from_label("none"))

    (limit,) = [step.op for step in steps if isinstance(step.op, Limit)]
    assert limit.room >= layout.map_count_needed
