"""The start of a worker process: signals, its job, its descriptor, its messages."""

import contextlib
import fcntl
import os
import signal
from collections.abc import Sequence

from harness.errors import UsageError


def keep_ended_children() -> None:
    """Reset SIGCHLD, so that ended children stay until they are waited for.

    A parent may ignore SIGCHLD; then the exit status of our children would be lost.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def open_descriptor(word: str) -> int:
    """Parse the number of a descriptor that is open for writing. Raises UsageError."""
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
    """The content of the job file, and the descriptor to write to.

    Raises UsageError, which says what is wrong.
    """
    if len(arguments) != 2:
        raise UsageError(
            "expected two arguments, a job file and a descriptor, "
            f"not {len(arguments)} arguments"
        )
    path, word = arguments
    try:
        with open(path, "rb") as file:
            return file.read(), open_descriptor(word)
    except (OSError, ValueError) as error:
        raise UsageError(f"the job file cannot be read: {error!s:.300}") from None


def say(words: str) -> None:
    """Write a line to standard error; errors are ignored.

    Standard error may be a file on a full disk; the measurement is valid anyway.
    Nothing stays in a buffer: flushing it would fail when the interpreter exits.
    """
    with contextlib.suppress(OSError):
        os.write(2, words.encode(errors="backslashreplace") + b"\n")
