"""The silicon clock of this machine: one at a time takes time on it.

Two that do disturb each other. The lock is one file of the machine's, for all
users, whatever their environments say; the kernel lets it go however its holder
ends.
"""

import contextlib
import errno
import json
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentFault
from harness.host.locks import try_lock
from harness.host.programs import printable

_NAME = "anonvma-silicon.lock"
_LONGEST = 4096
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@contextlib.contextmanager
def silicon_clock_held(by: str) -> Iterator[None]:
    """Hold the silicon clock for the block; ``by`` says for what (a campaign).

    Raises EnvironmentFault, which says who holds it, where it is taken, and where
    its lock is no file that can be locked.
    """
    path = lock_file()
    while True:
        fd = _opened(path)
        with os.fdopen(fd, "rb", buffering=0):
            if not try_lock(fd):
                raise EnvironmentFault(
                    f"another takes time on this machine's clock: {_holder(fd)}. Two "
                    "at once would disturb each other: wait for its end, or stop it; "
                    "instructions can be counted meanwhile (--target qemu)"
                )
            # Who had it before may have removed it since it was opened.
            if not _is_at(fd, path):
                continue
            _tell(fd, by)
            try:
                yield
            finally:
                # In a folder like /tmp it is for who made it to remove it.
                with contextlib.suppress(OSError):
                    path.unlink()
            return


def lock_file() -> Path:
    """Where the lock is: the same for every user, so not by what this one may."""
    for folder in (Path("/run/lock"), Path("/tmp")):
        with contextlib.suppress(OSError):
            mode = folder.stat().st_mode
            writable = not os.statvfs(folder).f_flag & os.ST_RDONLY
            if mode & stat.S_IWOTH and mode & stat.S_ISVTX and writable:
                return folder / _NAME
    return Path(tempfile.gettempdir()) / _NAME


def lock_is_left() -> bool:
    """Whether there is a file of the lock's that nobody holds."""
    with _free_lock() as is_free:
        return is_free


def remove_free_lock() -> bool:
    """Remove the lock's file, where a killed holder left it; whether it did."""
    with _free_lock() as is_free, contextlib.suppress(OSError):
        if is_free:
            lock_file().unlink()
            return True
    return False


@contextlib.contextmanager
def _free_lock() -> Iterator[bool]:
    try:
        fd = _opened_there(lock_file())
    except (EnvironmentFault, FileNotFoundError):
        yield False
        return
    with os.fdopen(fd, "rb", buffering=0):
        # What is there may be another by now, and held.
        yield try_lock(fd) and _is_at(fd, lock_file())


def _opened(path: Path) -> int:
    for _ in range(100):
        # Not with O_CREAT: what another made cannot be opened like that in /tmp
        # (fs.protected_regular), not by root either.
        with contextlib.suppress(FileNotFoundError):
            return _opened_there(path)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)
        except FileExistsError:
            continue
        except OSError as error:
            raise _no_lock(path, os.strerror(error.errno or 0)) from None
        # For every user, whatever this one's umask.
        os.fchmod(fd, 0o666)
        return fd
    raise _no_lock(path, "it comes and goes")


def _opened_there(path: Path) -> int:
    try:
        try:
            fd = os.open(path, os.O_RDWR | _FLAGS)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS):
                raise
            # Can be locked all the same; only who holds it is not told then.
            fd = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _no_lock(path, os.strerror(error.errno or 0)) from None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise _no_lock(path, "it is no file")


def _no_lock(path: Path, why: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"the lock of this machine's clock, {path}, cannot be had ({why}); as root: "
        f"rm -r {path}"
    )


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _tell(fd: int, by: str) -> None:
    told = {
        "pid": os.getpid(),
        "command": shlex.join(["anonvma", *sys.argv[1:]]),
        "for": by,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(told).encode(), 0)


def _holder(fd: int) -> str:
    try:
        # Any: what is in the file is unknown until it is printed.
        told: dict[str, Any] = json.loads(os.pread(fd, _LONGEST, 0))
        words = f"process {told['pid']} ({told['command']}) for {told['for']}, since "
        return printable(words + str(told["since"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "a process that did not say who it is"
