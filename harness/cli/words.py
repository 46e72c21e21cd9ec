"""What the words of an option become; what they cannot become is said."""

import argparse


def words(text: str) -> tuple[str, ...]:
    """Words between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _number(text: str, least: int) -> int:
    # Python takes 1_000 too, and so do people.
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least}, not {text!r}"
        )
    return number


def count(text: str) -> int:
    """A whole number from 1."""
    return _number(text, 1)


def count_from_0(text: str) -> int:
    """A whole number from 0."""
    return _number(text, 0)


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers from 1, between commas."""
    return tuple(count(word) for word in words(text))


def counts_from_0(text: str) -> tuple[int, ...]:
    """Whole numbers from 0, between commas."""
    return tuple(count_from_0(word) for word in words(text))


def seconds(text: str) -> float:
    """A length of time above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, not {text!r}")
    return seconds


def percent(text: str) -> float:
    """A number above 0, with or without a percent sign."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a percentage above 0, not {text!r}")
    return number
