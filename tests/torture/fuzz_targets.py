"""What is fuzzed: a function from bytes to nothing, and the errors it may raise.

The registry's shape, and the one way an input is tried, whichever engine made it.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from harness.cli.main import message_of
from harness.errors import HarnessError

# An error tells at most so much of an input.
MOST_SHOWN = 32_000
LONGEST_S = 10.0
# Address space above what the target has after its seeds.
MOST_MEMORY = 2 << 30

Feed = Callable[[bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Something that reads what others wrote.

    ``make`` imports what it needs and gives the function that takes an input; the
    folder it gets is its own. ``refuses`` are the only errors an input may meet.
    ``seeds`` are inputs that mean something.
    """

    name: str
    make: Callable[[Path], Feed]
    refuses: tuple[type[HarnessError], ...]
    seeds: Callable[[], tuple[bytes, ...]]
    longest_s: float = LONGEST_S


class Broken(AssertionError):
    """An input did what none may: the cause is how."""


class TooLong(BaseException):
    """Past the time that an input may take; nothing in between catches it."""


def try_input(target: Target, feed: Feed, data: bytes) -> None:
    """Feed one input. Raises Broken for anything but the target's own refusals."""
    try:
        with _limited(target.longest_s):
            feed(data)
    except target.refuses as error:
        _check_message(error, target)
    except TooLong:
        raise Broken(f"{target.name}: over {target.longest_s} s") from None
    except MemoryError as error:
        raise Broken(f"{target.name}: out of memory") from error
    except Exception as error:
        raise Broken(
            f"{target.name}: {type(error).__name__}: {error!r:.200}"
        ) from error


def _check_message(error: HarnessError, target: Target) -> None:
    said = message_of(error)
    if steering := sorted({c for c in said if c != "\n" and not c.isprintable()}):
        raise Broken(f"{target.name}: an error shows {steering!r}") from error
    if len(said) > MOST_SHOWN:
        raise Broken(f"{target.name}: an error of {len(said)} characters") from error
    said.encode()


def check_shown(text: str) -> None:
    """Assert that a text steers no terminal, and can be written to one."""
    text.encode()
    steering = sorted({c for c in text if c != "\n" and not c.isprintable()})
    assert not steering, f"a text shows {steering!r}"


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
