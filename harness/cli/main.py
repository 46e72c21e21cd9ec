"""Parses the arguments into one frozen request, runs it, returns the exit status."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from harness.cli.command import Command
from harness.cli.parser import COMMANDS, make_parser
from harness.errors import EnvironmentFault, HarnessError
from harness.host.programs import printable, printable_lines

_INTERRUPTED = 130
# Limits of an error message: a line holds a path (4095 bytes) and some words, and
# 200 lines hold the end of a guest's console.
_LONGEST_LINE, _MOST_LINES = 5000, 200
_RENAMED = {each.old_name: each.name for each in COMMANDS if each.old_name}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command ``anonvma``; print any error as one message. The exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        command, request = _parsed(arguments)
        return command.run(request)
    except HarnessError as error:
        print(message_of(error), file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("anonvma: stopped", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) closed the pipe early: not an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # The disk, a folder or a limit: a fault of the environment.
        print(f"anonvma: {printable(str(error))}", file=sys.stderr)
        return EnvironmentFault.status


def message_of(error: HarnessError) -> str:
    """The message of an error, without control characters."""
    lines = str(error).split("\n")[:_MOST_LINES]
    return printable_lines(
        "anonvma: " + "\n".join(line[:_LONGEST_LINE] for line in lines)
    )


# Any: each command has a request of its own type.
def parse_arguments(arguments: Sequence[str]) -> Any:
    """The request of a command line. Raises UsageError if it makes no sense.

    ``--help`` and argparse's own errors end the process, with status 0 and 2.
    """
    return _parsed(arguments)[1]


def _parsed(arguments: Sequence[str]) -> tuple[Command[Any], Any]:
    options = make_parser().parse_args(_with_new_name(arguments))
    command: Command[Any] = options.chosen_command
    return command, command.request(options, arguments)


def _with_new_name(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments with a command's old name replaced; prints the new name."""
    if not arguments or arguments[0] not in _RENAMED:
        return arguments
    old, new = arguments[0], _RENAMED[arguments[0]]
    print(
        f"anonvma: {old} is now called {new}; the old name works until 0.5",
        file=sys.stderr,
    )
    return (new, *arguments[1:])
