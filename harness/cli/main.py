"""Arguments in, one frozen request out, an exit status back."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from harness.cli.command import Command
from harness.cli.parser import COMMANDS, make_parser
from harness.errors import EnvironmentFault, HarnessError
from harness.host.programs import printable, printable_lines

_INTERRUPTED = 130
# Of an error: a path and more, and the end of any console.
_LONGEST_LINE, _MOST_LINES = 5000, 200
_RENAMED = {each.old_name: each.name for each in COMMANDS if each.old_name}


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``anonvma``: parse, do, and turn every error into one message."""
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
        # Whoever read our output has had enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # The disk, a folder, a limit: the environment's, and it says which.
        print(f"anonvma: {printable(str(error))}", file=sys.stderr)
        return EnvironmentFault.status


def message_of(error: HarnessError) -> str:
    """What is said of an error; nothing in it steers a terminal."""
    lines = str(error).split("\n")[:_MOST_LINES]
    return printable_lines(
        "anonvma: " + "\n".join(line[:_LONGEST_LINE] for line in lines)
    )


# Any: each command has a request of its own type.
def parse_arguments(arguments: Sequence[str]) -> Any:
    """The request that the arguments make; UsageError where they make none.

    ``--help`` and argparse's own errors end the process, with status 0 and 2.
    """
    return _parsed(arguments)[1]


def _parsed(arguments: Sequence[str]) -> tuple[Command[Any], Any]:
    options = make_parser().parse_args(_with_new_name(arguments))
    command: Command[Any] = options.asked
    return command, command.request(options, arguments)


def _with_new_name(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments with a command's new name for its old one, and a line of that."""
    if not arguments or arguments[0] not in _RENAMED:
        return arguments
    old, new = arguments[0], _RENAMED[arguments[0]]
    print(
        f"anonvma: {old} is now called {new}; the old name works until 0.5",
        file=sys.stderr,
    )
    return (new, *arguments[1:])
