"""vm.max_map_count: raised while it is needed, and put back whatever happens."""

import contextlib
import os
import signal
from collections.abc import Iterator

from harness.errors import EnvironmentFault
from harness.linux import read_sysctl, write_sysctl

_SYSCTL = "vm.max_map_count"


@contextlib.contextmanager
def map_count_of(needed: int) -> Iterator[int]:
    """Run with vm.max_map_count at least ``needed``; yields what it is.

    Raises EnvironmentFault where it may not be raised. It is put back by a
    process of its own, when this one leaves the block or dies of anything,
    kill -9 included, unless somebody else has changed it meanwhile.
    """
    before = int(read_sysctl(_SYSCTL))
    if before >= needed:
        yield before
        return
    with _guardian(before, needed):
        try:
            write_sysctl(_SYSCTL, str(needed))
        except OSError as error:
            raise EnvironmentFault(
                f"{_SYSCTL} is {before} and {needed} is needed, but it cannot be "
                f"raised here ({error.strerror}); as root: sysctl {_SYSCTL}={needed}"
            ) from error
        yield needed


@contextlib.contextmanager
def _guardian(before: int, raised: int) -> Iterator[None]:
    # The pipe's other end closes when this process is gone, however it goes.
    alive, life = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.close(life)
            os.read(alive, 1)
            if int(read_sysctl(_SYSCTL)) == raised:
                write_sysctl(_SYSCTL, str(before))
        finally:
            os._exit(0)
    os.close(alive)
    try:
        yield
    finally:
        os.close(life)
        os.waitpid(pid, 0)
