"""The command that looks at a program: calls."""

import argparse
import errno
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from harness.cli.arguments import count, refuse_idle, seconds
from harness.cli.command import Command
from harness.cli.output import stdout_console
from harness.errors import UsageError
from harness.host.programs import printable
from harness.tracing.program_calls import (
    FORKS,
    MAPPINGS,
    NAMING,
    NamedMemory,
    ProgramCalls,
    calls_of_command,
    calls_of_process,
)

# More processes than these are shown by the one with the most VMAs.
_MOST_PROCESSES = 4
_MOST_ROWS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsRequest:
    """What ``anonvma calls`` was asked: a command to run, or a process to attach to.

    Without ``seconds`` a process is followed to its end, or until Ctrl-C.
    """

    command: tuple[str, ...]
    pid: int | None
    seconds: float | None


def _add_calls(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--pid", type=count, metavar="PID",
        help="attach to a running process instead; Ctrl-C ends the trace, not it",
    )  # fmt: skip
    sub.add_argument(
        "--seconds", type=seconds, metavar="S",
        help="with --pid, for how long (default: until Ctrl-C)",
    )  # fmt: skip
    sub.add_argument(
        "command", nargs="*", metavar="-- COMMAND",
        help="run it, and follow all that it starts",
    )  # fmt: skip


def _calls_request(options: argparse.Namespace, _: Sequence[str]) -> CallsRequest:
    if bool(options.command) == (options.pid is not None):
        raise UsageError("calls takes a command after --, or --pid: one of the two")
    if options.pid is None:
        refuse_idle(options, ("--seconds",), "without --pid")
    return CallsRequest(
        command=tuple(options.command), pid=options.pid, seconds=options.seconds
    )


def calls(request: CallsRequest) -> int:
    """Trace a program and print its calls; 1 if a command failed, else 0."""
    if request.pid is not None:
        seen = calls_of_process(request.pid, seconds=request.seconds)
    else:
        seen = calls_of_command(request.command)
    _print(seen)
    if seen.status is None:
        print("the process runs on")
        return 0
    print(f"the program ended {_ending(seen.status)}")
    return 0 if seen.status == 0 or request.pid is not None else 1


def _ending(status: int) -> str:
    return f"with status {status}" if status >= 0 else f"by signal {-status}"


def _print(seen: ProgramCalls) -> None:
    console = stdout_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("call")
    for column in ("times", "failed"):
        table.add_column(column, justify="right")
    for name in (NAMING, *MAPPINGS, *FORKS):
        if seen.counts[name]:
            table.add_row(name, f"{seen.counts[name]:,}", f"{seen.failed[name]:,}")
    console.print(table)
    if seen.naming:
        console.print(_naming_table(seen))
    else:
        console.print("no memory was named")
    if seen.memory:
        console.print(_memory_table(seen))


def _naming_table(seen: ProgramCalls) -> Table:
    times, lengths = Counter[bytes | None](), Counter[bytes | None]()
    errors: defaultdict[bytes | None, Counter[int]] = defaultdict(Counter)
    for call in seen.naming:
        times[call.name] += 1
        lengths[call.name] += call.length
        if call.error:
            errors[call.name][call.error] += 1
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name that was asked for", overflow="fold")
    for column in ("times", "KiB"):
        table.add_column(column, justify="right")
    table.add_column("refused")
    for name, number in times.most_common(_MOST_ROWS):
        refused = ", ".join(
            f"{many:,} {errno.errorcode.get(code, code)}"
            for code, many in errors[name].items()
        )
        table.add_row(
            "(cleared)" if name is None else _shown(name),
            f"{number:,}", f"{lengths[name] // 1024:,}", refused,
        )  # fmt: skip
    if len(times) > _MOST_ROWS:
        table.add_row(f"({len(times) - _MOST_ROWS:,} more names)", "", "", "")
    return table


def _memory_table(seen: ProgramCalls) -> Table:
    by_pid: defaultdict[int, list[NamedMemory]] = defaultdict(list)
    for memory in seen.memory:
        by_pid[memory.pid].append(memory)
    chosen = sorted(by_pid, key=lambda pid: -sum(m.vmas for m in by_pid[pid]))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("process", justify="right")
    table.add_column("its memory at the end", overflow="fold")
    for column in ("VMAs", "KiB"):
        table.add_column(column, justify="right")
    for pid in chosen[:_MOST_PROCESSES]:
        rows = sorted(by_pid[pid], key=lambda m: -m.vmas)
        for row in rows[:_MOST_ROWS]:
            name = _shown(row.name) if row.name else "(anonymous, no name)"
            table.add_row(str(pid), name, f"{row.vmas:,}", f"{row.length // 1024:,}")
        if len(rows) > _MOST_ROWS:
            table.add_row(str(pid), f"({len(rows) - _MOST_ROWS:,} more names)", "", "")
    if len(chosen) > _MOST_PROCESSES:
        table.add_row("", f"({len(chosen) - _MOST_PROCESSES:,} more processes)", "", "")
    return table


def _shown(name: bytes) -> str:
    return printable(name.decode(errors="backslashreplace"))


CALLS = Command(
    name="calls",
    summary="Show which naming, mapping and fork calls a program makes.",
    examples="""\
examples:
  anonvma calls -- python3 -c 'print(1)'  every process that it starts, to their ends
  anonvma calls --pid 4711 --seconds 10   a running process, which goes on afterwards
A program runs many times slower while it is traced: nothing of this is a time.
""",
    add_options=_add_calls,
    request=_calls_request,
    run=calls,
)


COMMANDS = (CALLS,)
