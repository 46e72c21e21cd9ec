"""Settings put back by a process of its own, or from disk where that dies too.

What they were is on disk before they are changed, in a folder that is new at
each start of the machine, as settings are.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator, Mapping

from harness.lean.texts import render_json
from harness.linux.procfs import read_sysctl, write_sysctl

# Where they are kept, and how what keeps them is called; leftovers.py reads it.
KEPT = "/run"
PREFIX = "anonvma-settings-"

Settings = dict[str, str]


@contextlib.contextmanager
def settings_put_back(
    before: Mapping[str, str], changed: Mapping[str, str] | None
) -> Iterator[None]:
    """Put settings back when the block ends or this process dies, kill -9 included.

    ``before`` is what they were, by dotted name; those that are to be ``changed``
    are put back from that value only: any other is somebody else's. With None
    they are put back from whatever they hold.
    """
    # The pipe's other end closes with the block.
    alive, life = os.pipe()
    kept = _keep(before, changed)
    owner = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.close(life)
            _await_end(alive, owner)
            _finish(before, changed, kept)
            code = 0
        finally:
            os._exit(code)
    os.close(alive)
    try:
        yield
    finally:
        os.close(life)
        if os.waitpid(pid, 0)[1]:
            # It was killed, or could not; where we cannot either, that is told.
            _finish(before, changed, kept)
        if kept is not None:
            os.close(kept.fd)


def _await_end(alive: int, owner: int) -> None:
    """Wait until a pipe's other end is closed, or its owner is gone, however it goes.

    What the owner forked may be left, and has that end too.
    """
    # Here only: no process that measures imports it.
    import select

    ends = select.poll()
    ends.register(alive)
    # Kernels before 5.3 have none, nor has every Python.
    with contextlib.suppress(OSError, AttributeError):
        ends.register(os.pidfd_open(owner))
    if os.getppid() == owner:
        ends.poll()


def _finish(
    before: Mapping[str, str], changed: Mapping[str, str] | None, kept: "_Kept | None"
) -> None:
    put_back(before, changed)
    if kept is not None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(kept.path)  # noqa: PTH108 (pathlib is a tenth of a start)


class _Kept:
    def __init__(self, path: str, fd: int) -> None:
        self.path, self.fd = path, fd


def _keep(before: Mapping[str, str], changed: Mapping[str, str] | None) -> _Kept | None:
    # The processes that this one forks hold the lock too: the guardian does.
    # No random name: a kernel that has gathered no entropy yet would wait for it.
    path = f"{KEPT}/{PREFIX}{os.getpid()}-{time.monotonic_ns()}"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        # Who may not write there may change no settings either, as a rule.
        return None
    fcntl.flock(fd, fcntl.LOCK_EX)
    text = render_json([dict(before), None if changed is None else dict(changed)])
    os.write(fd, text.encode())
    return _Kept(path, fd)


def put_back(
    before: Mapping[str, str], changed: Mapping[str, str] | None
) -> dict[str, str]:
    """Put settings back as ``settings_put_back`` does: those that were changed."""
    done = {}
    for name in before if changed is None else changed:
        now = read_sysctl(name)
        if now != before[name] and (changed is None or now == changed[name]):
            write_sysctl(name, before[name])
            done[name] = before[name]
    return done
