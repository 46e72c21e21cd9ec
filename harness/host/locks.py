"""File locks (flock). The kernel releases a lock when its holder ends in any way."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import EnvironmentFault

# Longer than the longest build that holds a lock.
_LOCK_S, _LOCK_POLL_S = 10_800.0, 0.05


def try_lock(fd: int) -> bool:
    """Lock an open file for this process alone; False if another process holds it.

    The lock is held until the last descriptor of the open file is closed. Raises
    OSError if this kind of file cannot be locked.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def free_to_change(path: Path) -> Iterator[bool]:
    """Hold a file's lock within the context; yields False if another process holds it.

    If there is no such file, nobody holds the lock: yields True and creates no file.
    """
    try:
        file = open(path)  # noqa: SIM115 (closed below)
    except FileNotFoundError:
        yield True
        return
    with file:
        yield try_lock(file.fileno())


@contextlib.contextmanager
def exclusive(
    path: Path,
    *,
    on_wait: Callable[[], None] | None = None,
    deadline_s: float = _LOCK_S,
) -> Iterator[None]:
    """Wait for a file's lock and hold it within the context.

    ``on_wait`` is called once if the lock is not free at first. Raises
    EnvironmentFault if another process still holds it at the deadline.
    """
    end = time.monotonic() + deadline_s
    with open(path, "a") as file:
        waited = False
        while not try_lock(file.fileno()):
            if on_wait is not None and not waited:
                on_wait()
            waited = True
            if time.monotonic() >= end:
                raise EnvironmentFault(
                    f"the lock {path} was not free within {deadline_s:g} s: another "
                    "command holds it (fuser shows which); end that, or try again later"
                )
            time.sleep(_LOCK_POLL_S)
        yield
