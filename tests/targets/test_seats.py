import os
from contextlib import ExitStack

import pytest

from harness.targets.seats import one_cpu


def test_each_guest_has_a_cpu_of_its_own_the_highest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Numbers that no machine has: other tests may have guests.
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {10_001, 10_007, 10_003})

    with ExitStack() as stack:
        taken = [stack.enter_context(one_cpu()) for _ in range(3)]
        another = stack.enter_context(one_cpu())

    assert taken == [10_007, 10_003, 10_001]
    assert another in taken
    with one_cpu() as cpu:
        assert cpu == 10_007


def test_a_seat_is_free_when_its_holder_was_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {10_011, 10_013})
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with one_cpu() as cpu:
            os.write(writing, b"%d" % cpu)
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)

    assert os.read(reading, 100) == b"10013"
    with one_cpu() as cpu:
        assert cpu == 10_013
