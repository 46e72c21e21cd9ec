"""Scratch folders whose owner's life can be told: what kill -9 leaves is found.

A folder's owner holds the lock (flock) of a file in it, which the kernel lets go
however the owner ends, and which no other process has by chance, as it may have
a number. Who clears away takes the lock before; who makes a folder looks, with
the lock in hand, whether the folder is still there.
"""

import contextlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.host.locks import try_lock

_PREFIX = "anonvma-"
_NAME = re.compile(re.escape(_PREFIX) + "[0-9a-f]{16}")
# The last thing of a folder that is removed: without it none is ours.
_OWNER = ".anonvma-owner"


@contextlib.contextmanager
def scratch_folder(inside: Path | None = None) -> Iterator[Path]:
    """A new folder, removed with all in it when the block ends.

    It is in the temporary folder; or ``inside`` another, so that what is made in
    it can be renamed to its place: there, what a killed owner left goes first.
    """
    place = Path(tempfile.gettempdir()) if inside is None else inside
    if inside is not None:
        for folder in abandoned_folders(inside):
            remove_abandoned(folder)
    while True:
        # Known before it is made: an interrupt between the two leaves nothing.
        folder = place / f"{_PREFIX}{secrets.token_hex(8)}"
        try:
            owner = _made(folder)
            if owner is None:
                continue
            try:
                yield folder
                return
            finally:
                with os.fdopen(owner):
                    _remove(folder)
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()


def abandoned_folders(place: Path) -> list[Path]:
    """The scratch folders in a folder whose owner, this user, is gone."""
    try:
        return sorted(path for path in place.iterdir() if _is_abandoned(path))
    except OSError:
        return []


def remove_abandoned(folder: Path) -> bool:
    """Remove a scratch folder, unless it has an owner; whether it is gone."""
    if not _is_abandoned(folder):
        return False
    with _locked(folder) as is_ours:
        if is_ours:
            _remove(folder)
    # Killed before it had a lock, or just before it was gone.
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def _made(folder: Path) -> int | None:
    """The descriptor that holds a new folder; None where it was cleared away."""
    folder.mkdir(mode=0o700)
    try:
        fd = os.open(folder / _OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileNotFoundError:
        return None
    if try_lock(fd) and os.fstat(fd).st_nlink:
        return fd
    os.close(fd)
    return None


def _is_abandoned(folder: Path) -> bool:
    if not _NAME.fullmatch(folder.name):
        return False
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        with _locked(folder) as is_ours:
            return is_ours or not any(folder.iterdir())
    except OSError:
        return False


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold a folder's lock; whether it could be had: not of one without any."""
    try:
        fd = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    with os.fdopen(fd):
        yield try_lock(fd)


def _remove(folder: Path) -> None:
    """Remove all of a folder whose lock is held; what is gone already is gone."""
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _OWNER:
                path.unlink()
        (folder / _OWNER).unlink()
        folder.rmdir()
