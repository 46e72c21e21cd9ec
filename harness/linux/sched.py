"""Where and when a task runs, and how fine its clock is."""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from itertools import pairwise


def pin_to_one_cpu() -> int:
    """Keep this process, and its children, on the lowest CPU it may use."""
    cpu = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return cpu


@contextlib.contextmanager
def fifo_without_children() -> Iterator[bool]:
    """Run under SCHED_FIFO, children under SCHED_OTHER; yields whether it could.

    On one CPU a child of the block cannot run before its parent sleeps or
    leaves the block. Without CAP_SYS_NICE nothing changes and False is
    yielded.
    """
    try:
        os.sched_setscheduler(
            0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1)
        )
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def clock_step(clock: int) -> int:
    """The step that a clock advances by, in its own unit, as it was seen to.

    ``clock_getres`` answers 1 for every high-resolution clock, whatever counts
    beneath it; readings do not lie: they differ by multiples of the step.
    """
    readings = [time.clock_gettime_ns(clock) for _ in range(1000)]
    return math.gcd(*(after - before for before, after in pairwise(readings)))
