"""CPU affinity, scheduling policy, and the resolution of a clock."""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from itertools import pairwise


def pin_to_one_cpu() -> int:
    """Pin this process and its children to the lowest CPU it may use; that CPU."""
    cpu = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return cpu


@contextlib.contextmanager
def fifo_without_children() -> Iterator[bool]:
    """Run the block under SCHED_FIFO, its children under SCHED_OTHER.

    On one CPU a child that is forked in the block cannot run before its parent sleeps
    or leaves the block. Yields True; without CAP_SYS_NICE, it changes nothing and
    yields False.
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
    """The measured step of a clock, in the clock's unit.

    ``clock_getres`` returns 1 for every high-resolution clock, whatever hardware is
    behind it. But all readings differ by multiples of the real step.
    """
    readings = [time.clock_gettime_ns(clock) for _ in range(1000)]
    return math.gcd(*(after - before for before, after in pairwise(readings)))
