"""The parser of every command line, made from the table of commands."""

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
in the environment is missing or failed; 4 not supported by this kernel; 130 stopped;
compare has 5 and 6, too
"""

EXAMPLES = """\
examples:
  anonvma doctor                          what is missing on this machine
  anonvma run                             the table of README, in a few minutes
  anonvma run --vmas 65536 --pages 10     2.5 GiB of written pages
  anonvma show                            the newest campaign's table again
  anonvma run --target uml                the same at this machine's speed
  anonvma boot -- python3 -c 'print(1)'   one command in a guest
  anonvma agree                           does the kernel do as it should?
  anonvma kselftest                       the kernel's own test of names
"""


class _Parser(argparse.ArgumentParser):
    """One whose errors quote arguments so that they cannot steer a terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def make_parser() -> argparse.ArgumentParser:
    """The parser; what it parses has the ``Command`` as ``command``."""
    parser = _described(
        _Parser, EXAMPLES, prog="anonvma",
        description="What a named anonymous VMA costs, on kernels built for it.",
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
        sub.set_defaults(asked=command)
    return parser


def commands_of(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands of what ``make_parser`` made, in their order, each with its own."""
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
