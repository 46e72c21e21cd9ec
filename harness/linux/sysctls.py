"""Settings put back by a process of its own, or from disk where that dies too.

What they were is on disk before they are changed, in a folder that is new at
each start of the machine, as settings are.
"""

import contextlib
import fcntl
import json
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.linux.procfs import read_sysctl, write_sysctl

_KEPT = Path("/run")
_PREFIX = "anonvma-settings-"
_NAME = re.compile(r"\w+(\.[\w-]+)+", re.ASCII)

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


def left_settings() -> list[Path]:
    """Where settings are kept that nobody is left to put back."""
    found = sorted(_KEPT.glob(f"{_PREFIX}*"))
    left = []
    for path in found:
        with _taken(path) as text:
            if text is not None:
                left.append(path)
    return left


def put_back_left(path: Path) -> dict[str, str]:
    """Put back what one of them keeps: the settings that were changed.

    Raises OSError where that is not allowed; it is kept then.
    """
    with _taken(path) as text:
        if text is None:
            return {}
        # Killed before it was whole, and so before anything was changed.
        before, changed = parse_kept(text) or ({}, None)
        done = _put_back(before, changed)
        path.unlink()
    return done


def parse_kept(text: bytes) -> tuple[Settings, Settings | None] | None:
    """What settings were and which were to be changed; None where it does not say."""
    try:
        before, changed = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    known = _are_settings(before) and (changed is None or _are_settings(changed))
    if not known or not set(changed or ()) <= set(before):
        return None
    return before, changed


def _are_settings(found: object) -> bool:
    return isinstance(found, dict) and all(
        _NAME.fullmatch(name) and isinstance(value, str)
        for name, value in found.items()
    )


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
    _put_back(before, changed)
    if kept is not None:
        kept.path.unlink(missing_ok=True)


class _Kept:
    def __init__(self, path: Path, fd: int) -> None:
        self.path, self.fd = path, fd


def _keep(before: Mapping[str, str], changed: Mapping[str, str] | None) -> _Kept | None:
    # The processes that this one forks hold the lock too: the guardian does.
    # No random name: a kernel that has gathered no entropy yet would wait for it.
    path = _KEPT / f"{_PREFIX}{os.getpid()}-{time.monotonic_ns()}"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        # Who may not write there may change no settings either, as a rule.
        return None
    fcntl.flock(fd, fcntl.LOCK_EX)
    text = json.dumps([dict(before), None if changed is None else dict(changed)])
    os.write(fd, text.encode())
    return _Kept(path, fd)


def _put_back(
    before: Mapping[str, str], changed: Mapping[str, str] | None
) -> dict[str, str]:
    done = {}
    for name in before if changed is None else changed:
        now = read_sysctl(name)
        if now != before[name] and (changed is None or now == changed[name]):
            write_sysctl(name, before[name])
            done[name] = before[name]
    return done


@contextlib.contextmanager
def _taken(path: Path) -> Iterator[bytes | None]:
    """What is in a file that nobody holds, held meanwhile; None of another."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield os.read(fd, 1 << 16) if os.fstat(fd).st_uid == os.geteuid() else None
    finally:
        os.close(fd)
