"""One command: its options, its request, the function that runs it, its examples."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Request = TypeVar("Request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[Request]):
    """A command of ``anonvma``; the module of its group defines it.

    ``request`` turns the parsed options and the command line into one frozen value and
    raises UsageError if they make no sense. ``run`` executes that value and returns the
    exit status. ``old_name`` still works; it prints a line with the new name.
    """

    name: str
    summary: str
    examples: str
    add_options: Callable[[argparse.ArgumentParser], None]
    request: Callable[[argparse.Namespace, Sequence[str]], Request]
    run: Callable[[Request], int]
    old_name: str | None = None
