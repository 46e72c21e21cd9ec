"""Which options were given, and which of them would do nothing where they stand."""

import argparse
from collections.abc import Sequence
from typing import Any

from harness.errors import UsageError


class _Noted(argparse.Action):
    """What argparse does with an option's value; and its long name is written down."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        # Any: what the option's type made, as argparse has it.
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        if self.option_strings:
            namespace.given = (*namespace.given, self.option_strings[-1])


def note_given(parser: argparse.ArgumentParser) -> None:
    """Have what is parsed say, as ``given``, which options with a value there were.

    A default is then told from the same value that was asked for.
    """
    parser.register("action", None, _Noted)
    parser.set_defaults(given=())


def refuse_idle(options: argparse.Namespace, idle: Sequence[str], where: str) -> None:
    """Assert that no option was given that does nothing ``where``; UsageError."""
    for option in options.given:
        if option in idle:
            raise UsageError(f"{option} does nothing {where}: leave it out")
