"""A command: its options, what it was asked, what it does, and its examples."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Request = TypeVar("Request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[Request]):
    """A command of ``anonvma``; each group of commands is a module with its own.

    ``request`` makes one frozen value of the parsed options and the command line, and
    raises UsageError where it cannot; ``run`` does what the value asks for, and returns
    the exit status. ``old_name`` still works, with a line that says the new one.
    """

    name: str
    summary: str
    examples: str
    add_options: Callable[[argparse.ArgumentParser], None]
    request: Callable[[argparse.Namespace, Sequence[str]], Request]
    run: Callable[[Request], int]
    old_name: str | None = None
