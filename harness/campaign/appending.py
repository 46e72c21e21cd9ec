"""Appends to records.jsonl: one process at a time, and only whole lines.

If a kill left an incomplete last line, it is moved to a file beside the records before
anything is added. If a full disk accepts only a part of a line, that part is removed.
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
    """A function that appends one record to the campaign's file, with one write.

    When the function returns, the kernel has the record, so killing this process does
    not lose it. ``on_step`` gets the path of an incomplete line that was moved. Raises
    EnvironmentFault if another process appends. The function raises EnvironmentFault
    if the disk is full or the file was removed.
    """
    path = folder / RECORDS
    fd = _open_locked(path)
    try:
        _move_incomplete_line(fd, path, on_step)

        def append(record: Record) -> None:
            _append(fd, path, render_record(record))

        yield append
    finally:
        os.close(fd)


def append_file(folder: Path, file: Path) -> None:
    """Append a file of whole records: all of them, or none if this process is killed.

    Call it within ``appended_records``, which locks the file. Raises EnvironmentFault
    if the records cannot be written.
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
        # Its last holder may have removed the file before we got the lock.
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


def _move_incomplete_line(fd: int, path: Path, on_step: Callable[[str], None]) -> None:
    size = os.fstat(fd).st_size
    end = _end_of_last_line(fd, size)
    if end == size:
        return
    incomplete = os.pread(fd, size - end, end)
    for number in count(1):
        beside = path.with_name(f"half-written-{number}.txt")
        with contextlib.suppress(FileExistsError), open(beside, "xb") as file:
            file.write(incomplete)
            break
    # Truncate after the copy: a kill in between leaves the line in both files, and the
    # next process moves it again.
    os.ftruncate(fd, end)
    on_step(f"an incomplete line of {len(incomplete)} bytes was moved to {beside}")


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
            f"a record cannot be written to {path}: {error.strerror}; the records "
            "before it are kept"
        ) from None
    if written != len(line):
        os.ftruncate(fd, state.st_size)
        raise EnvironmentFault(
            f"{path}: the disk is full; the records before this one are kept"
        )
