"""Changes sysctls for a block and puts them back, even if this process is killed.

A guardian process puts them back. If the guardian is killed too, ``anonvma doctor
--mend`` does it from a file. The file is written before any change. It lies in /run,
which is empty after each boot, like the settings.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator, Mapping

from harness.lean.texts import render_json
from harness.linux.procfs import read_sysctl, write_sysctl

# The folder and the prefix of the files with old values; leftovers.py reads them.
KEPT = "/run"
PREFIX = "anonvma-settings-"

Settings = dict[str, str]


@contextlib.contextmanager
def settings_put_back(
    before: Mapping[str, str], changed: Mapping[str, str] | None
) -> Iterator[None]:
    """Put settings back when the block ends or this process dies, even by kill -9.

    ``before`` has the old values by dotted name, ``changed`` the new ones. A setting
    is put back only while it has its new value: another value is somebody else's.
    If ``changed`` is None, all are put back, whatever their value is.
    """
    # The guardian waits until ``life``, the write end of this pipe, is closed.
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
            # The guardian was killed or failed: do it here; errors are raised.
            _finish(before, changed, kept)
        if kept is not None:
            os.close(kept.fd)


def _await_end(alive: int, owner: int) -> None:
    """Wait until the write end of a pipe is closed or its owner has ended.

    Waiting for the pipe alone is not enough: children of the owner may still live, and
    they hold the write end too.
    """
    # Imported here only: a process that measures should not import it.
    import select

    ends = select.poll()
    ends.register(alive)
    # Kernels before 5.3 and some Pythons have no pidfd_open().
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
    # Forked processes inherit the lock, so the guardian holds it too.
    # The name is not random: on a kernel without entropy that would block.
    path = f"{KEPT}/{PREFIX}{os.getpid()}-{time.monotonic_ns()}"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        # A user who may not write there may not change sysctls either, as a rule.
        return None
    fcntl.flock(fd, fcntl.LOCK_EX)
    text = render_json([dict(before), None if changed is None else dict(changed)])
    os.write(fd, text.encode())
    return _Kept(path, fd)


def put_back(
    before: Mapping[str, str], changed: Mapping[str, str] | None
) -> dict[str, str]:
    """Put settings back by the rules of ``settings_put_back``; those it changed."""
    done = {}
    for name in before if changed is None else changed:
        now = read_sysctl(name)
        if now != before[name] and (changed is None or now == changed[name]):
            write_sysctl(name, before[name])
            done[name] = before[name]
    return done
