"""Arguments in, one frozen request out, an exit status back."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, assert_never

import harness
from harness.arch import ARCHES, arch_named
from harness.campaign import Plan, read_plan
from harness.cli.commands import (
    BootRequest,
    BuildRequest,
    DoctorRequest,
    Request,
    RunRequest,
    ShowRequest,
    boot,
    build,
    doctor,
    run,
    show,
)
from harness.errors import HarnessError
from harness.kbuild import base_names, variant_names
from harness.programs import printable
from harness.target import Deadlines

_INTERRUPTED = 130

_STATUS = """\
exit status: 0 done; 1 measured, but a check failed; 2 wrong usage; 3 something in
the environment is missing or failed; 4 not supported by this kernel; 130 stopped
"""

_EXAMPLES = {
    None: """\
examples:
  anonvma doctor                          what is missing on this machine
  anonvma run                             the table of README, in a few minutes
  anonvma run --vmas 65536 --pages 10     2.5 GiB of written pages
  anonvma show                            the newest campaign's table again
  anonvma boot -- python3 -c 'print(1)'   one command in a guest
""",
    "build": """\
examples:
  anonvma build                           the kernel of run
  anonvma build --variant all --base all  every kernel there is
""",
    "boot": """\
examples:
  anonvma boot                            a shell; leave it with exit or Ctrl-D
  anonvma boot --variant none --base 6.1 -- uname -a
""",
    "run": """\
examples:
  anonvma run
  anonvma run --vmas 1000,4000 --naming distinct:79,shared:79 --boots 2
  anonvma run --variant strdup,refcount --vmas 65536
  anonvma run --plan plan.toml --name nightly

A plan file gives any of these options by its long name, in the plural where it
takes a list: vmas = [1000, 65536], variants = ["switch"], boots = 4.
Options on the command line win.
""",
    "show": """\
examples:
  anonvma show
  anonvma show results/nightly
""",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``anonvma``: parse, do, and turn every error into one message."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _do(parse_arguments(arguments))
    except HarnessError as error:
        lines = map(printable, str(error).split("\n"))
        print("anonvma:", "\n".join(lines), file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("anonvma: stopped", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parse_arguments(arguments: Sequence[str]) -> Request:
    """The request that the arguments make; UsageError where they make none.

    ``--help`` and argparse's own errors end the process, with status 0 and 2.
    """
    options = _parser().parse_args(arguments)
    request: Callable[[argparse.Namespace, Sequence[str]], Request] = options.request
    return request(options, arguments)


def _do(request: Request) -> int:
    match request:
        case DoctorRequest():
            return doctor(request)
        case BuildRequest():
            return build(request)
        case BootRequest():
            return boot(request)
        case RunRequest():
            return run(request)
        case ShowRequest():
            return show(request)
        case _:
            assert_never(request)


def _stop(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = _described(
        argparse.ArgumentParser, None, prog="anonvma",
        description="What a named anonymous VMA costs, on kernels built for it.",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=harness.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help_: str) -> argparse.ArgumentParser:
        return _described(
            commands.add_parser, name, name=name, help=help_, description=help_
        )

    sub = command("doctor", "Tell what this machine can run and what is missing.")
    sub.set_defaults(request=_doctor_request)
    _add_arch(sub)

    sub = command("build", "Build kernels, or find them built before.")
    sub.set_defaults(request=_build_request)
    sub.add_argument(
        "--variant",
        type=_words,
        default=("switch",),
        metavar="NAMES",
        help=f"{', '.join(variant_names())}, or all (default: switch)",
    )
    sub.add_argument(
        "--base",
        type=_words,
        default=("6.12",),
        metavar="VERSIONS",
        help=f"{', '.join(base_names())}, or all (default: 6.12)",
    )
    _add_arch(sub)

    sub = command("boot", "Boot a guest: a shell in it, or one command.")
    sub.set_defaults(request=_boot_request)
    sub.add_argument("--variant", default="switch", choices=variant_names())
    sub.add_argument("--base", default="6.12", choices=base_names())
    sub.add_argument("--memory", type=_count, default=1024, metavar="MIB")
    sub.add_argument(
        "--deadline",
        type=_seconds,
        default=3600.0,
        metavar="S",
        help="seconds until a command is taken for hung (default: 3600)",
    )
    sub.add_argument(
        "command",
        nargs="*",
        metavar="-- COMMAND",
        help="its exit status is this command's",
    )
    _add_arch(sub)

    _add_run(command("run", "Measure: build, boot, name, check, fork; then the table."))

    sub = command("show", "Print the table of a campaign.")
    sub.set_defaults(request=_show_request)
    sub.add_argument(
        "path",
        nargs="?",
        type=Path,
        help="its folder, name, records or Parquet (default: the newest)",
    )
    _add_results(sub)
    return parser  # fmt: skip


def _add_run(sub: argparse.ArgumentParser) -> None:
    sub.set_defaults(request=_run_request)
    plan = sub.add_argument_group("plan (defaults: those of README's table)")
    plan.add_argument("--plan", type=Path, metavar="FILE", help="a plan in TOML")
    plan.add_argument(
        "--variant",
        dest="variants",
        type=_words,
        metavar="NAMES",
        help=f"kernels: {', '.join(variant_names())}",
    )
    plan.add_argument(
        "--base", metavar="VERSION", help=f"of linux: {', '.join(base_names())}"
    )
    plan.add_argument("--vmas", type=_counts, metavar="N,N", help="how many named VMAs")
    plan.add_argument(
        "--pages",
        type=_counts_from_0,
        metavar="N,N",
        help="pages written in each VMA: 0, 1, 10",
    )
    plan.add_argument(
        "--naming",
        type=_words,
        metavar="SCHEME:LENGTH,...",
        help="shared:79 (one struct), distinct:79 (a struct each), "
        "distinct-same-text:79",
    )
    plan.add_argument(
        "--boots", type=_count, metavar="N", help="guests of each variant"
    )
    plan.add_argument(
        "--blocks",
        type=_count,
        metavar="N",
        help="rounds over all cells within a guest",
    )
    plan.add_argument(
        "--repetitions", type=_count, metavar="N", help="timed forks of each process"
    )
    plan.add_argument(
        "--warmups",
        type=_count_from_0,
        metavar="N",
        help="forks before them, kept but not analysed",
    )
    plan.add_argument(
        "--seed",
        type=_count_from_0,
        metavar="N",
        help="of the order and of what is written",
    )
    how = sub.add_argument_group("how")
    how.add_argument("--name", help="of the campaign; an existing one gets more boots")
    how.add_argument(
        "--jobs",
        type=_count,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="guests at a time (default: one a processor)",
    )
    how.add_argument(
        "--boot-deadline",
        type=_seconds,
        default=Deadlines().boot_s,
        metavar="S",
        help="until the first record (default: %(default)g)",
    )
    how.add_argument(
        "--silence-deadline",
        type=_seconds,
        default=Deadlines().silence_s,
        metavar="S",
        help="between records (default: %(default)g)",
    )
    how.add_argument(
        "--deadline",
        type=_seconds,
        default=Deadlines().total_s,
        metavar="S",
        help="for a guest (default: %(default)g)",
    )
    _add_results(how)
    _add_arch(how)  # fmt: skip


def _described(
    make: Callable[..., argparse.ArgumentParser], examples: str | None, **options: str
) -> argparse.ArgumentParser:
    return make(
        **options,
        epilog=f"{_EXAMPLES.get(examples, '')}\n{_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_arch(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--arch", default="aarch64", choices=sorted(ARCHES),
                        help="the guest's machine (default: aarch64)")  # fmt: skip


def _add_results(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR",
                        help="where campaigns are kept (default: results)")  # fmt: skip


def _doctor_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return DoctorRequest(arch_named(options.arch))


def _build_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    def chosen(words: tuple[str, ...], known: Sequence[str]) -> tuple[str, ...]:
        return tuple(known) if words == ("all",) else words

    return BuildRequest(
        variants=chosen(options.variant, variant_names()),
        bases=chosen(options.base, base_names()),
        arch=arch_named(options.arch),
    )


def _boot_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return BootRequest(
        variant=options.variant,
        base=options.base,
        arch=arch_named(options.arch),
        memory_mib=options.memory,
        deadline_s=options.deadline,
        command=tuple(options.command),
    )


def _run_request(options: argparse.Namespace, arguments: Sequence[str]) -> Request:
    fields = {} if options.plan is None else read_plan(options.plan)
    for name in Plan.__dataclass_fields__:
        if getattr(options, name) is not None:
            fields[name] = getattr(options, name)
    return RunRequest(
        # The types were seen to by read_plan and by the options' own.
        plan=Plan(**fields),  # type: ignore[arg-type]
        arch=arch_named(options.arch),
        results=options.results,
        name=options.name,
        parallel=options.jobs,
        deadlines=Deadlines(
            boot_s=options.boot_deadline,
            silence_s=options.silence_deadline,
            total_s=options.deadline,
        ),
        argv=("anonvma", *arguments),
    )


def _show_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return ShowRequest(options.path, options.results)


def _words(text: str) -> tuple[str, ...]:
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


def _count(text: str) -> int:
    return _number(text, 1)


def _count_from_0(text: str) -> int:
    return _number(text, 0)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_count(word) for word in _words(text))


def _counts_from_0(text: str) -> tuple[int, ...]:
    return tuple(_count_from_0(word) for word in _words(text))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, not {text!r}")
    return seconds
