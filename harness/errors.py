"""The exception tree: everything a user can meet, each with its exit status.

System call failures stay ``OSError``. What is ours derives from
``HarnessError``; its ``status`` is what the command exits with: 2 the caller's
mistake, 3 the environment's, 4 not supported by this kernel or host.
"""

# What is no line of ours may be as long as a file, and what is said of it too.
_SHOWN, _MOST_WHY = 300, 3000
_MOST_CONSOLE, _MOST_LINES = 20_000, 200


def _shown(line: bytes | str) -> str:
    # Of bytes that nobody can read each is four characters.
    return repr(line[:_SHOWN])[: 3 * _SHOWN]


class HarnessError(Exception):
    """Something went wrong that the message explains; ends the command."""

    status = 3


class UsageError(HarnessError):
    """The caller asked for something that cannot be meant."""

    status = 2


class UnsupportedError(HarnessError):
    """This kernel or this host cannot do it, however it is asked."""

    status = 4


class EnvironmentFault(HarnessError):
    """Something this machine needs is missing, or refuses; the message mends it."""


class NoSuchSource(EnvironmentFault):
    """This Debian has no source of a base: what needs that base is not for here."""


class MapsFormatError(HarnessError):
    """A line of /proc/pid/maps has a shape that no kernel we know writes."""

    def __init__(self, line: bytes, why: str) -> None:
        super().__init__(f"not a line of /proc/pid/maps: {why}: {_shown(line)}")
        self.line = line


class RecordError(HarnessError):
    """A line is not a record of this schema: ``why``, in words."""

    def __init__(self, line: bytes | str, why: str) -> None:
        self.line = line
        self.why = why[:_MOST_WHY]
        super().__init__(f"not a record: {self.why}: {_shown(line)}")


class CheckFailed(HarnessError):
    """What the kernel shows is not what was built; the cell must not be timed."""

    status = 1


class BuildFailed(HarnessError):
    """A kernel could not be built; the message has the end of the log."""


class Stopped(HarnessError):
    """Told to stop, before it was done, for a reason that is somebody else's."""


class GuestError(HarnessError):
    """A guest did not finish its job; ``console`` is the end of its console."""

    def __init__(self, what: str, console: str) -> None:
        # Whoever hands it over, what a guest says may be as long as it likes.
        lines = console[-_MOST_CONSOLE:].splitlines()[-_MOST_LINES:]
        shown = "\n".join(f"  | {line}" for line in lines)
        super().__init__(f"{what}\nlast lines of its console:\n{shown or '  (empty)'}")
        self.what = what
        self.console = console


class GuestPanicked(GuestError):
    """The guest's kernel said that it panicked."""


class GuestHung(GuestError):
    """The guest was silent past its deadline, and has been killed."""


class GuestLost(GuestError):
    """The guest went away without a status and without a panic."""


class JobFailed(GuestError):
    """The guest is well, but the job in it failed; it said how."""


class BadRecord(GuestError):
    """The guest sent a line that is not a record."""
