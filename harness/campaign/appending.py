"""records.jsonl: appended to by one process at a time, a whole line or none.

What a kill leaves half written is set aside, in a file beside it, before
anything is added; what a full disk lets through of a line is taken back.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from harness.errors import EnvironmentFault
from harness.host.campaign_folders import RECORDS
from harness.host.locks import try_lock
from harness.worker.measure import Record, render_record


@contextlib.contextmanager
def appended_records(
    folder: Path, *, on_step: Callable[[str], None] = lambda step: None
) -> Iterator[Callable[[Record], None]]:
    """A function that appends one record, in one write, to the campaign's file.

    A record is on its way to the disk when the function returns: killing this
    process loses none. ``on_step`` is told of a half-written line and where it
    is now. Raises EnvironmentFault where another process appends, and the
    function raises it when a record cannot be kept: the disk is full, or the file
    was removed; those before it are kept.
    """
    path = folder / RECORDS
    fd = _open_locked(path)
    try:
        _set_half_line_aside(fd, path, on_step)

        def append(record: Record) -> None:
            _append(fd, path, render_record(record))

        yield append
    finally:
        os.close(fd)


def append_file(folder: Path, file: Path) -> None:
    """Append a file of whole records: all of them, or none whenever we are killed.

    For within ``appended_records``, which keeps others away meanwhile. Raises
    EnvironmentFault where they cannot be kept.
    """
    path = folder / RECORDS
    new = path.with_name(f".{RECORDS}.new")
    try:
        with open(new, "wb") as both:
            for part in (path, file):
                with open(part, "rb") as some:
                    shutil.copyfileobj(some, both)
        new.replace(path)
    except OSError as error:
        raise EnvironmentFault(
            f"nothing was added to {path}: {error.strerror}"
        ) from None
    finally:
        new.unlink(missing_ok=True)


def _open_locked(path: Path) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        if not try_lock(fd):
            holder = _holder(fd)
            os.close(fd)
            raise EnvironmentFault(
                f"{path.parent} is being measured by {holder}: wait for it, or choose "
                "another name"
            )
        # Whoever had it before may have removed it before we had the lock.
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def _holder(fd: int) -> str:
    # proc(5): "1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF"
    inode = f":{os.fstat(fd).st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5].endswith(inode):
            return f"process {words[4]}"
    return "another process"


def _set_half_line_aside(fd: int, path: Path, on_step: Callable[[str], None]) -> None:
    size = os.fstat(fd).st_size
    whole = _end_of_last_line(fd, size)
    if whole == size:
        return
    half = os.pread(fd, size - whole, whole)
    for number in count(1):
        aside = path.with_name(f"half-written-{number}.txt")
        with contextlib.suppress(FileExistsError), open(aside, "xb") as file:
            file.write(half)
            break
    # Only now: a kill between the two leaves it in both, and the next goes on.
    os.ftruncate(fd, whole)
    on_step(f"a half-written line of {len(half)} bytes was set aside: {aside}")


def _end_of_last_line(fd: int, size: int) -> int:
    end = size
    while end:
        begin = max(0, end - (1 << 16))
        at = os.pread(fd, end - begin, begin).rfind(b"\n")
        if at != -1:
            return begin + at + 1
        end = begin
    return 0


def _append(fd: int, path: Path, line: bytes) -> None:
    state = os.fstat(fd)
    if not state.st_nlink:
        raise EnvironmentFault(f"{path} was removed while records were added to it")
    try:
        written = os.write(fd, line)
    except OSError as error:
        raise EnvironmentFault(
            f"a record cannot be kept in {path}: {error.strerror}; those before it are"
        ) from None
    if written != len(line):
        os.ftruncate(fd, state.st_size)
        raise EnvironmentFault(f"{path}: the disk is full; the records before are kept")
