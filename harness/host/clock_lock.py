"""The lock of this machine's clock: only one process may measure time on silicon.

Two that measure at once would disturb each other. The lock is one file for all users
of the machine, independent of their environments. The kernel releases it when its
holder ends, in whatever way.
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
    """Hold the clock's lock within the context; ``by`` is the campaign that needs it.

    Raises EnvironmentFault, which says who holds the lock, if it is taken; also if the
    lock is not a file that can be locked.
    """
    path = lock_file()
    while True:
        fd = _opened(path)
        with os.fdopen(fd, "rb", buffering=0):
            if not try_lock(fd):
                raise EnvironmentFault(
                    f"another command measures time on this machine: {_holder(fd)}. "
                    "Two at once would disturb each other: wait for its end, or stop "
                    "it; meanwhile you can count instructions (--target qemu)"
                )
            # Its last holder may have removed the file since it was opened.
            if not _is_at(fd, path):
                continue
            _write_holder(fd, by)
            try:
                yield
            finally:
                # In a folder like /tmp, only the user that created it may remove it.
                with contextlib.suppress(OSError):
                    path.unlink()
            return


def lock_file() -> Path:
    """The path of the lock.

    It must be the same for every user, so it does not depend on this user's rights.
    """
    for folder in (Path("/run/lock"), Path("/tmp")):
        with contextlib.suppress(OSError):
            mode = folder.stat().st_mode
            writable = not os.statvfs(folder).f_flag & os.ST_RDONLY
            if mode & stat.S_IWOTH and mode & stat.S_ISVTX and writable:
                return folder / _NAME
    return Path(tempfile.gettempdir()) / _NAME


def lock_is_left() -> bool:
    """Whether the lock's file exists, and nobody holds the lock."""
    with _free_lock() as is_free:
        return is_free


def remove_free_lock() -> bool:
    """Remove the lock's file if a killed holder left it; return whether it did."""
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
        # By now, another process may have created and locked a new file.
        yield try_lock(fd) and _is_at(fd, lock_file())


def _opened(path: Path) -> int:
    for _ in range(100):
        # Not with O_CREAT: in /tmp, nobody, not even root, can open another user's
        # file with O_CREAT (fs.protected_regular).
        with contextlib.suppress(FileNotFoundError):
            return _opened_there(path)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)
        except FileExistsError:
            continue
        except OSError as error:
            raise _no_lock(path, os.strerror(error.errno or 0)) from None
        # Every user may lock it, whatever the umask is.
        os.fchmod(fd, 0o666)
        return fd
    raise _no_lock(path, "other processes keep creating and removing it")


def _opened_there(path: Path) -> int:
    try:
        try:
            fd = os.open(path, os.O_RDWR | _FLAGS)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS):
                raise
            # A read-only file can be locked too, but the holder cannot be written.
            fd = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _no_lock(path, os.strerror(error.errno or 0)) from None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise _no_lock(path, "it is not a regular file")


def _no_lock(path: Path, why: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"the lock of this machine's clock, {path}, cannot be used ({why}); as root: "
        f"rm -r {path}"
    )


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _write_holder(fd: int, by: str) -> None:
    holder = {
        "pid": os.getpid(),
        "command": shlex.join(["anonvma", *sys.argv[1:]]),
        "for": by,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(holder).encode(), 0)


def _holder(fd: int) -> str:
    try:
        # Any: the content of the file is unknown until it is printed.
        found: dict[str, Any] = json.loads(os.pread(fd, _LONGEST, 0))
        words = (
            f"process {found['pid']} ({found['command']}) for {found['for']}, since "
        )
        return printable(words + str(found["since"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "a process whose name is not in the lock"
