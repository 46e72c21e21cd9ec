"""The exceptions that a user can meet, each with its exit status.

Failed system calls stay ``OSError``. All other errors derive from ``HarnessError``.
Its ``status`` is the exit status of the command: 1 a check failed, 2 wrong usage,
3 something in the environment is missing or failed, 4 not supported by this kernel or
host.
"""

# Limits of what a message shows, in characters and lines: a malformed line may be as
# long as a file, and so may the reason.
_SHOWN, _MOST_WHY = 300, 3000
_MOST_CONSOLE, _MOST_LINES = 20_000, 200


def _shown(line: bytes | str) -> str:
    # repr() shows an unprintable byte as four characters.
    return repr(line[:_SHOWN])[: 3 * _SHOWN]


class HarnessError(Exception):
    """An error that ends the command; its message explains it to the user."""

    status = 3


class UsageError(HarnessError):
    """The caller's arguments or input are wrong."""

    status = 2


class UnsupportedError(HarnessError):
    """This kernel or this host does not support it."""

    status = 4


class EnvironmentFault(HarnessError):
    """Something on this machine is missing or fails; the message says what to do."""


class NoSuchSource(EnvironmentFault):
    """This Debian release has no kernel source of a base: it cannot be built here."""


class MapsFormatError(HarnessError):
    """A line of /proc/pid/maps has a format that no known kernel writes."""

    def __init__(self, line: bytes, why: str) -> None:
        super().__init__(f"not a line of /proc/pid/maps: {why}: {_shown(line)}")
        self.line = line


class RecordError(HarnessError):
    """A line is not a valid record; ``why`` says what is wrong with it."""

    def __init__(self, line: bytes | str, why: str) -> None:
        self.line = line
        self.why = why[:_MOST_WHY]
        super().__init__(f"not a record: {self.why}: {_shown(line)}")


class CheckFailed(HarnessError):
    """The kernel does not show the VMAs that were built; the cell is not timed."""

    status = 1


class BuildFailed(HarnessError):
    """A kernel could not be built; the message ends with the end of the log."""


class Stopped(HarnessError):
    """The work was stopped from outside before it was finished."""


class GuestError(HarnessError):
    """A guest did not finish its job; ``console`` is the end of its console output."""

    def __init__(self, what: str, console: str) -> None:
        # A guest may write any amount.
        lines = console[-_MOST_CONSOLE:].splitlines()[-_MOST_LINES:]
        shown = "\n".join(f"  | {line}" for line in lines)
        super().__init__(f"{what}\nlast lines of its console:\n{shown or '  (empty)'}")
        self.what = what
        self.console = console


class GuestPanicked(GuestError):
    """The guest's kernel reported a panic."""


class GuestHung(GuestError):
    """The guest sent nothing until its deadline and was killed."""


class GuestLost(GuestError):
    """The guest ended without reporting a status or a panic."""


class JobFailed(GuestError):
    """The guest works, but the job in it failed and reported how."""


class BadRecord(GuestError):
    """The guest sent a line that is not a record."""
