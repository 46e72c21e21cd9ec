"""What a process next to the kernel begins with: a job, a descriptor, its words,
and its children's ends.
"""

import contextlib
import fcntl
import os
import signal
from collections.abc import Sequence

from harness.errors import UsageError


def keep_ended_children() -> None:
    """Have children stay until they are waited for, whatever was inherited.

    Where SIGCHLD is ignored, as by some who start us, they leave no status.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def open_descriptor(word: str) -> int:
    """The number of a descriptor that is open for writing. Raises UsageError."""
    try:
        fd = int(word) if len(word) < 10 else -1
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise ValueError
    except (OSError, ValueError):
        raise UsageError(
            "expected the number of a descriptor that is open for writing, "
            f"not {word[:60]!r}"
        ) from None
    return fd


def read_job(arguments: Sequence[str]) -> tuple[bytes, int]:
    """What is in a job's file, and where to write; UsageError says what is wrong."""
    if len(arguments) != 2:
        raise UsageError(
            f"expected a job's file and a descriptor, not {len(arguments)} words"
        )
    path, word = arguments
    try:
        with open(path, "rb") as file:
            return file.read(), open_descriptor(word)
    except (OSError, ValueError) as error:
        raise UsageError(f"the job cannot be read: {error!s:.300}") from None


def say(words: str) -> None:
    """Write a line to standard error, unheard where it cannot be kept.

    It may be a file on a disk that is full: what has been measured is no worse for
    it. Nothing stays in a buffer, which would fail as the interpreter ends.
    """
    with contextlib.suppress(OSError):
        os.write(2, words.encode(errors="backslashreplace") + b"\n")
