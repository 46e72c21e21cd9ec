"""Scratch folders that can be cleaned up after a ``kill -9`` of their owner.

The owner of a folder holds the lock (flock) of a file in it. The kernel releases the
lock when the owner ends in any way. A process id would not do, because another
process may get the same one. A process that cleans up takes the lock before it removes
the folder. A process that creates a folder checks, after it has the lock, that the
folder still exists.
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
# This file is removed last: a folder without it is not one of ours.
_OWNER = ".anonvma-owner"


@contextlib.contextmanager
def scratch_folder(inside: Path | None = None) -> Iterator[Path]:
    """A new folder that is removed, with its content, when the context ends.

    It is in the temporary folder, or ``inside`` another folder, so that a file made in
    it can be renamed to its final path there. With ``inside``, the folders that killed
    owners left there are removed first.
    """
    parent = Path(tempfile.gettempdir()) if inside is None else inside
    if inside is not None:
        for folder in abandoned_folders(inside):
            remove_abandoned(folder)
    while True:
        # The name is known before the folder is made, so that an interrupt right after
        # making it leaves nothing.
        folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
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
    """The scratch folders of this user in ``place`` whose owning process has ended."""
    try:
        return sorted(path for path in place.iterdir() if _is_abandoned(path))
    except OSError:
        return []


def remove_abandoned(folder: Path) -> bool:
    """Remove a scratch folder if its owner has ended; return whether it is removed."""
    if not _is_abandoned(folder):
        return False
    with _locked(folder) as is_free:
        if is_free:
            _remove(folder)
    # Its owner may have been killed before it made the lock, or after it removed it.
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def _made(folder: Path) -> int | None:
    # Make a folder and lock it; return the lock's descriptor, or None if another
    # process removed the folder in between.
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
        with _locked(folder) as is_free:
            return is_free or not any(folder.iterdir())
    except OSError:
        return False


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    # Hold a folder's lock within the block; False if it is taken or missing.
    try:
        fd = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    with os.fdopen(fd):
        yield try_lock(fd)


def _remove(folder: Path) -> None:
    # Remove a folder whose lock this process holds. Another process may have removed
    # parts of it.
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _OWNER:
                path.unlink()
        (folder / _OWNER).unlink()
        folder.rmdir()
