"""Gives each guest of User-Mode Linux one CPU that no other guest uses.

Such a guest is two processes that take turns, hundreds of thousands of times per
second. On two CPUs, each turn wakes a sleeping CPU. On a virtual machine, this takes
several times as long as a system call. Without this module, the load of the machine
would decide whether the two processes share a CPU, and the guest would be either fast
or several times slower.
"""

import contextlib
import os
import random
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def one_cpu() -> Iterator[int]:
    """A CPU that this process may use, reserved on this machine within the context.

    It is the highest free one, because interrupts go to the lowest. If none is free,
    it is a random one.
    """
    usable = sorted(os.sched_getaffinity(0), reverse=True)
    for cpu in usable:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as seat:
            # An abstract name and not a file: the kernel frees it when its holder
            # ends, in whatever way.
            try:
                seat.bind(f"\0anonvma-cpu-{cpu}")
            except OSError:
                continue
            yield cpu
            return
    yield random.choice(usable)
