"""What the words of an option become; what they cannot become is said."""

import argparse
from pathlib import Path

# Nothing of ours is counted in more than that, nor takes longer than four months.
_MOST = 10**9
_MOST_SEED = 2**64 - 1
_MOST_SECONDS = 10**7
# PATH_MAX of linux/limits.h, without the NUL.
_LONGEST_PATH = 4095
_SHOWN = 60


def words(text: str) -> tuple[str, ...]:
    """Words between commas, at least one."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"expected one or more, not {_shown(text)}")
    return found


def path(text: str) -> Path:
    """A path, there or not."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(
            f"expected a path, not {_shown(text)}: it is empty, or has a NUL"
        )
    if max(len(part.encode(errors="replace")) for part in text.split("/")) > 255:
        raise argparse.ArgumentTypeError(
            f"expected a path, not {_shown(text)}: a name of it is over 255 bytes"
        )
    if len(text.encode(errors="replace")) > _LONGEST_PATH:
        raise argparse.ArgumentTypeError(
            f"expected a path, not {_shown(text)}: it is over {_LONGEST_PATH} bytes"
        )
    return Path(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def _number(text: str, least: int, most: int = _MOST) -> int:
    # Python takes 1_000 too, and so do people.
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        limit = f" (at most {most})" if number > most else ""
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least}, not {_shown(text)}{limit}"
        )
    return number


def count(text: str) -> int:
    """A whole number from 1."""
    return _number(text, 1)


def count_from_0(text: str) -> int:
    """A whole number from 0, such as a seed."""
    return _number(text, 0, _MOST_SEED)


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers from 1, between commas."""
    return tuple(count(word) for word in words(text))


def counts_from_0(text: str) -> tuple[int, ...]:
    """Whole numbers from 0, between commas."""
    return tuple(_number(word, 0) for word in words(text))


def seconds(text: str) -> float:
    """A length of time above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= _MOST_SECONDS:
        limit = f" (at most {_MOST_SECONDS})" if seconds > 0 else ""
        raise argparse.ArgumentTypeError(
            f"expected seconds above 0, not {_shown(text)}{limit}"
        )
    return seconds


def percent(text: str) -> float:
    """A number above 0, with or without a percent sign."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(
            f"expected a percentage above 0, not {_shown(text)}"
        )
    return number
