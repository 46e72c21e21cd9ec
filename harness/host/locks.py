"""Locks of files (flock): the kernel releases one however its holder ends."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import EnvironmentFault

_LOCK_S, _LOCK_POLL_S = 10_800.0, 0.05


def try_lock(fd: int) -> bool:
    """Lock an open file for this process alone; False where another one holds it.

    It is held until the last descriptor of the open file is closed. Raises OSError
    where the file is of a kind that cannot be locked.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def free_to_change(path: Path) -> Iterator[bool]:
    """Hold a file's lock where nobody else does; whether that is so.

    A lock that there is no file for is nobody's, and stays so.
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
    """Hold a file's lock, waiting for it; it is free again however we end.

    Raises EnvironmentFault where somebody else holds it past the deadline.
    """
    end = time.monotonic() + deadline_s
    with open(path, "a") as file:
        waited = False
        while not try_lock(file.fileno()):
            if on_wait is not None and not waited:
                on_wait()
            waited = True
            if time.monotonic() >= end:
                # Here only: the leash, which this module is too, imports none of us.
                raise EnvironmentFault(
                    f"{path} was not free within {deadline_s:g} s: another command "
                    "holds it (fuser shows which); end that, or try again later"
                )
            time.sleep(_LOCK_POLL_S)
        yield
