"""The options of every command."""

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import harness
from harness.arch import ARCHES, QEMU_ARCHES
from harness.campaign import TARGETS, Plan, preset_names
from harness.cli.examples import EXAMPLES, STATUS
from harness.cli.given import note_given
from harness.cli.options import (
    add_arch,
    add_kernel,
    add_kernels,
    add_results,
    add_target,
)
from harness.cli.parser_analysis import (
    add_compare,
    add_export,
    add_report,
    add_show,
)
from harness.cli.parser_model import add_agree, add_mutants, add_replay
from harness.cli.truth import add_truth
from harness.cli.words import (
    count,
    count_from_0,
    counts,
    counts_from_0,
    path,
    percent,
    seconds,
    words,
)
from harness.programs import printable
from harness.target import COMMAND_MIB, IMAGE_MIB, Deadlines


class _Parser(argparse.ArgumentParser):
    """One whose errors quote arguments so that they cannot steer a terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def make_parser() -> argparse.ArgumentParser:
    """The parser; what it parses has the command's name as ``request``."""
    parser = _described(
        _Parser, None, prog="anonvma",
        description="What a named anonymous VMA costs, on kernels built for it.",
    )  # fmt: skip
    parser.add_argument(
        "-V", "--version", action="version", version=harness.__version__
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help_: str) -> argparse.ArgumentParser:
        sub = _described(
            commands.add_parser, name, name=name, help=help_, description=help_
        )
        sub.set_defaults(request=name)
        note_given(sub)
        return sub

    sub = command("doctor", "Tell what this machine can run and what is missing.")
    add_arch(sub, QEMU_ARCHES)
    instead = sub.add_mutually_exclusive_group()
    instead.add_argument(
        "--mend", action="store_true",
        help="instead, put back and remove what a killed harness left",
    )  # fmt: skip
    instead.add_argument(
        "--bases", action="store_true",
        help="instead, list each Linux whose source this Debian has",
    )  # fmt: skip
    _add_build(command("build", "Build kernels, or find them built before."))
    _add_boot(command("boot", "Boot a guest: a shell in it, or one command."))
    _add_run(command("run", "Measure: build, boot, name, check, fork; then the table."))
    _add_kselftest(command("kselftest", "Run the kernel's own test of names; KTAP."))
    add_show(command("show", "Print the tables of a campaign."))
    sub = command("import", "Bring records taken elsewhere into a campaign.")
    sub.add_argument("records", type=path, metavar="RECORDS", help="records.jsonl")
    sub.add_argument("--name", help="of the campaign (default: a new one)")
    add_results(sub)
    _add_image(command("image", "Make an image that boots to the whole harness."))
    sub = command("probe", "Make anonvma.pyz: one file that measures any machine.")
    sub.add_argument(
        "--out", type=path, default=Path("anonvma.pyz"), metavar="FILE",
        help="where to (default: anonvma.pyz)",
    )  # fmt: skip
    sub = command("tune", "Show what disturbs measurements on this machine.")
    action = sub.add_mutually_exclusive_group()
    action.add_argument(
        "--apply", action="store_const", dest="action", const="apply",
        help="change what can be changed, saying what",
    )  # fmt: skip
    action.add_argument(
        "--undo", action="store_const", dest="action", const="undo",
        help="put back what --apply changed",
    )  # fmt: skip
    sub.set_defaults(action="show")
    add_agree(command("agree", "Hold a kernel against the model: random operations."))
    add_replay(command("replay", "Judge recorded traces, or play them on a kernel."))
    add_report(command("report", "Make a page of a campaign, or a mail for linux-mm."))
    add_export(
        command("export", "Write a campaign as one Parquet that says what it is.")
    )
    add_compare(command("compare", "Compare two campaigns, or the arms of one."))
    add_truth(
        command("truth", "Look into a kernel: what it allocates, shares and counts.")
    )
    add_mutants(command("mutants", "Try the check: kernels with a bug must diverge."))
    return parser


def commands_of(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands of what ``make_parser`` made, in their order, each with its own."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _add_build(sub: argparse.ArgumentParser) -> None:
    add_kernels(sub, variant="switch")
    add_arch(sub, sorted(ARCHES))
    sub.add_argument(
        "--mutant", type=words, metavar="NAMES",
        help="of kernels/mutants/, or all, instead: of 6.12, for um",
    )  # fmt: skip


def _add_kselftest(sub: argparse.ArgumentParser) -> None:
    add_kernels(sub, variant="refcount")
    add_target(sub, "of guests: qemu, uml or both (default: qemu)", single=False)
    sub.add_argument(
        "--deadline",
        type=seconds,
        default=300.0,
        metavar="S",
        help="seconds until a guest is taken for hung (default: 300)",
    )


def _add_boot(sub: argparse.ArgumentParser) -> None:
    add_kernel(sub, variant="switch")
    add_target(sub, "of guest: qemu or uml (default: qemu)", single=True)
    sub.add_argument(
        "--image", type=path, metavar="DIR", help="what anonvma image made, instead"
    )
    sub.add_argument(
        "--share",
        type=path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder that the guest may write to (uml)",
    )
    sub.add_argument(
        "--memory", type=count, metavar="MIB",
        help=f"of the guest (default: {COMMAND_MIB}, with --image {IMAGE_MIB})",
    )  # fmt: skip
    sub.add_argument(
        "--deadline",
        type=seconds,
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


def _add_run(sub: argparse.ArgumentParser) -> None:
    _add_plan(sub.add_argument_group("plan (its defaults make README's table)"), Plan())
    where = sub.add_argument_group("where")
    add_target(where, f"of kernel: {', '.join(TARGETS)} (default: qemu)", single=False)
    how = sub.add_argument_group("how")
    how.add_argument(
        "--name", help="of the campaign; one that was begun is gone on with"
    )
    how.add_argument(
        "--jobs",
        type=count,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="guests in parallel (default: one per CPU; always 1 when measuring time)",
    )
    how.add_argument(
        "--boot-deadline",
        type=seconds,
        default=Deadlines().boot_s,
        metavar="S",
        help="until the first record (default: %(default)g)",
    )
    how.add_argument(
        "--silence-deadline",
        type=seconds,
        default=Deadlines().silence_s,
        metavar="S",
        help="between records (default: %(default)g)",
    )
    how.add_argument(
        "--deadline",
        type=seconds,
        default=Deadlines().total_s,
        metavar="S",
        help="for a guest (default: %(default)g)",
    )
    add_results(how)


def _add_plan(plan: argparse._ArgumentGroup, default: Plan) -> None:
    given = plan.add_mutually_exclusive_group()
    given.add_argument("--plan", type=path, metavar="FILE", help="a plan in TOML")
    given.add_argument(
        "--campaign",
        metavar="NAME",
        help=f"a plan of ours: {', '.join(preset_names())}",
    )
    add_kernels(plan, variant="switch")
    # What is not given is the plan's.
    plan.set_defaults(variants=None, bases=None)
    plan.add_argument(
        "--vmas", type=counts, metavar="N,N",
        help=f"how many named VMAs (default: {_listed(default.vmas)})",
    )  # fmt: skip
    plan.add_argument(
        "--pages",
        type=counts_from_0,
        metavar="N,N",
        help=f"pages written in each VMA: 0, 1, 10 (default: {_listed(default.pages)})",
    )
    plan.add_argument(
        "--naming",
        type=words,
        metavar="SCHEME:LENGTH,...",
        help="shared:79 (one struct), distinct:79 (a struct each), "
        f"distinct-same-text:79, none (default: {_listed(default.naming)})",
    )
    plan.add_argument(
        "--vma-pages", type=count, metavar="N",
        help="pages of a VMA, at least; from 2 on splits are measured too "
        f"(default: {default.vma_pages})",
    )  # fmt: skip
    plan.add_argument(
        "--margin", type=percent, metavar="PERCENT",
        help=f"what counts as no difference (default: {default.margin:g})",
    )  # fmt: skip
    plan.add_argument(
        "--boots", type=count, metavar="N",
        help=f"guests of each variant (default: {default.boots})",
    )  # fmt: skip
    plan.add_argument(
        "--blocks",
        type=count,
        metavar="N",
        help=f"rounds over all cells within a guest (default: {default.blocks})",
    )
    plan.add_argument(
        "--repetitions", type=count, metavar="N",
        help=f"timed forks of each process (default: {default.repetitions})",
    )  # fmt: skip
    plan.add_argument(
        "--warmups",
        type=count_from_0,
        metavar="N",
        help=f"forks before them, kept but not analysed (default: {default.warmups})",
    )
    plan.add_argument(
        "--seed",
        type=count_from_0,
        metavar="N",
        help=f"of the order and of what is written (default: {default.seed})",
    )


def _listed(values: tuple[object, ...]) -> str:
    return ",".join(map(str, values))


def _add_image(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--out",
        type=path,
        default=Path("image"),
        metavar="DIR",
        help="where to (default: image)",
    )
    add_kernel(sub, variant="switch")
    sub.add_argument(
        "--wheels",
        type=path,
        metavar="DIR",
        help="take Python's packages from here instead of the package index",
    )
    add_arch(sub, QEMU_ARCHES)


def _described(
    make: Callable[..., argparse.ArgumentParser], examples: str | None, **options: str
) -> argparse.ArgumentParser:
    return make(
        **options,
        epilog=f"{EXAMPLES.get(examples, '')}\n{STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
