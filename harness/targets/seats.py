"""A CPU for each guest of User-Mode Linux: one CPU, and one that no other guest has.

Such a guest is two processes that take turns, hundreds of thousands of times a
second. On two CPUs each turn wakes one that sleeps, which on a virtual machine
takes several times as long as a system call; and whether they share a CPU hangs
on what else runs, so that the guest's speed comes in two kinds, a factor apart.
"""

import contextlib
import os
import random
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def one_cpu() -> Iterator[int]:
    """A CPU that this process may use, taken for the block on the whole machine.

    The highest that is free, as interrupts go to the lowest; where none is, any.
    """
    usable = sorted(os.sched_getaffinity(0), reverse=True)
    for cpu in usable:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as seat:
            # A name, and no file: the kernel takes it back however its holder ends.
            try:
                seat.bind(f"\0anonvma-cpu-{cpu}")
            except OSError:
                continue
            yield cpu
            return
    yield random.choice(usable)
