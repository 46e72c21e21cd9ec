"""The parser of all command lines, built from the table of commands."""

import argparse
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import harness
from harness.cli import (
    audit,
    compare,
    conformance,
    guests,
    guide,
    kernels,
    machine,
    measure,
    mutants,
    process,
    results,
)
from harness.cli.arguments import note_given
from harness.cli.command import Command
from harness.host.programs import printable

# In the order of --help. Any: each command has a request of its own type.
COMMANDS: tuple[Command[Any], ...] = (
    *machine.COMMANDS,
    *measure.COMMANDS,
    *results.COMMANDS,
    *compare.COMMANDS,
    *kernels.COMMANDS,
    *guests.COMMANDS,
    *conformance.COMMANDS,
    *mutants.COMMANDS,
    *audit.COMMANDS,
    *process.COMMANDS,
    *guide.COMMANDS,
)

STATUS = """\
exit status: 0 done; 1 a check failed or a kernel diverged; 2 wrong usage; 3 something
in the environment is missing or failed; 4 not supported by this kernel; 130 stopped.
compare also has 5 (A/A check failed) and 6 (cells missing).
"""

EXAMPLES = """\
examples:
  anonvma doctor                          what is missing on this machine
  anonvma run                             measure, and print the table: a minute or two
  anonvma run --target uml                measure time, in User-Mode Linux
  anonvma show                            the newest campaign's tables again
  anonvma boot -- python3 -c 'print(1)'   one command in a guest
  anonvma agree                           compare the kernel with the model
  anonvma kselftest                       the kernel's own test of VMA names
"""


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors show arguments without control characters."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def make_parser() -> argparse.ArgumentParser:
    """The parser; its namespace has the ``Command`` as ``chosen_command``."""
    parser = _described(
        _Parser, EXAMPLES, prog="anonvma",
        description="Measure what names of anonymous VMAs cost, and check kernels.",
    )  # fmt: skip
    parser.add_argument(
        "-V", "--version", action="version", version=harness.__version__
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = _described(
            commands.add_parser, command.examples, name=command.name,
            help=command.summary, description=command.summary,
        )  # fmt: skip
        note_given(sub)
        command.add_options(sub)
        sub.set_defaults(chosen_command=command)
    return parser


def commands_of(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The name and the parser of every command of ``make_parser``, in order."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _described(
    make: Callable[..., argparse.ArgumentParser], examples: str, **options: str
) -> argparse.ArgumentParser:
    return make(
        **options,
        epilog=f"{examples}\n{STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
