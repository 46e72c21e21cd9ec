"""The options of the commands that hold kernels against the model."""

import argparse
import os
from collections.abc import Sequence

from harness.campaign import TARGETS, TargetChoice
from harness.campaign.agree import AgreePlan
from harness.campaign.subjects import HOST
from harness.cli.choices import chosen, one_choice
from harness.cli.given import refuse_idle
from harness.cli.options import add_kernel, add_results, add_target
from harness.cli.requests import AgreeRequest, MutantsRequest, ReplayRequest
from harness.cli.words import count, count_from_0, path, seconds, words
from harness.errors import UsageError
from harness.kbuild.mutant import BASE, mutant_named, mutant_names
from harness.model import OF_BASES
from harness.target import Deadlines
from harness.workload.gen import HARMLESS, Theme

# What agree plays when it is not told; and where only time is to end it.
_OPERATIONS, _DAYS = 20_000, 10**9
_OF_A_KERNEL = ("--variant", "--base", "--accel", "--deadline")


def add_agree(sub: argparse.ArgumentParser) -> None:
    """Options of agree."""
    sub.add_argument(
        "--ops", type=count, metavar="N",
        help=f"operations to play (default: {_OPERATIONS})",
    )  # fmt: skip
    sub.add_argument(
        "--seconds", type=seconds, metavar="S",
        help="start no guest after that long (default: as long as --ops takes)",
    )  # fmt: skip
    sub.add_argument(
        "--seed", type=count_from_0, default=1, metavar="N",
        help="of the operations: the same seed plays the same (default: 1)",
    )  # fmt: skip
    sub.add_argument(
        "--theme", type=words, default=(), metavar="WORDS",
        help=f"of {', '.join(theme.value for theme in Theme)} (default: all in turn; "
        "on the host, those that touch nothing of others)",
    )  # fmt: skip
    sub.add_argument(
        "--length", type=count, default=400, metavar="N",
        help="operations of a trace (default: 400)",
    )  # fmt: skip
    sub.add_argument(
        "--pages", type=count, default=32, metavar="N",
        help="of a trace's arena (default: 32)",
    )  # fmt: skip
    _add_player(sub, "uml")
    sub.add_argument(
        "--jobs", type=count, default=len(os.sched_getaffinity(0)), metavar="N",
        help="guests in parallel (default: one per CPU)",
    )  # fmt: skip
    sub.add_argument(
        "--record", type=path, metavar="FILE",
        help="add every trace, with what was seen, to a file for replay",
    )  # fmt: skip
    sub.add_argument(
        "--no-shrink", dest="shrink", action="store_false",
        help="keep a trace that diverges as long as it is",
    )  # fmt: skip
    add_results(sub)


def add_replay(sub: argparse.ArgumentParser) -> None:
    """Options of replay."""
    sub.add_argument(
        "trace", type=path, metavar="TRACE", help="what agree recorded or kept"
    )
    _add_player(sub, "judge what was recorded")


def add_mutants(sub: argparse.ArgumentParser) -> None:
    """Options of mutants."""
    sub.add_argument(
        "--name", type=words, default=("all",), metavar="NAMES",
        help="of kernels/mutants/, or all (default: all)",
    )  # fmt: skip
    sub.add_argument(
        "--of-the-day", type=count, metavar="N",
        help="only N of them, others each day",
    )  # fmt: skip
    sub.add_argument(
        "--ops", type=count, default=20_000, metavar="N",
        help="operations to play on each (default: 20000)",
    )  # fmt: skip
    sub.add_argument(
        "--seed", type=count_from_0, default=1, metavar="N",
        help="of the operations (default: 1)",
    )  # fmt: skip
    sub.add_argument(
        "--jobs", type=count, default=len(os.sched_getaffinity(0)), metavar="N",
        help="guests in parallel (default: one per CPU)",
    )  # fmt: skip


def _add_player(sub: argparse.ArgumentParser, default: str) -> None:
    known = ", ".join(TARGETS)
    add_target(
        sub, f"of kernel: {known} (default: {default})", single=True, timed=False
    )
    add_kernel(sub, variant="refcount")
    sub.add_argument(
        "--deadline", type=seconds, default=Deadlines().total_s, metavar="S",
        help="for a guest (default: %(default)g)",
    )  # fmt: skip


def agree_request(options: argparse.Namespace) -> AgreeRequest:
    """What agree was asked. UsageError for what would do nothing."""
    choice = one_choice(options, "agree")
    if choice.kind == HOST:
        refuse_idle(options, ("--jobs",), "with --target host, where all is in turn")
    themes = _themes(options.theme, choice)
    operations = options.ops or (_DAYS if options.seconds else _OPERATIONS)
    plan = AgreePlan(
        operations=operations,
        seconds=options.seconds,
        seed=options.seed,
        pages=options.pages,
        length=options.length,
        themes=themes,
        # Of what is not ours the base is not known, and its way is its own.
        expected={} if choice.foreign else OF_BASES[options.base],
        guests=1 if choice.kind == HOST else options.jobs,
    )
    return AgreeRequest(
        plan=plan,
        choice=choice,
        variant=options.variant,
        base=options.base,
        shrink=options.shrink,
        record=options.record,
        out=options.results,
    )


def _themes(words: Sequence[str], choice: TargetChoice) -> tuple[Theme, ...]:
    if not words:
        # Elsewhere than in a guest of ours, others live under the same limit.
        return HARMLESS if choice.kind == HOST else tuple(Theme)
    known = ", ".join(theme.value for theme in Theme)
    try:
        return tuple(Theme(word) for word in words)
    except ValueError as error:
        raise UsageError(f"{error}; themes are {known}") from None


def replay_request(options: argparse.Namespace) -> ReplayRequest:
    """What replay was asked. UsageError for a kernel's options without a kernel."""
    asked = options.target or options.kernel or options.arch
    if not asked:
        refuse_idle(options, _OF_A_KERNEL, "without --target, --kernel or --arch")
    return ReplayRequest(
        trace=options.trace,
        choice=one_choice(options, "replay") if asked else None,
        variant=options.variant,
        base=options.base,
    )


def mutants_request(options: argparse.Namespace) -> MutantsRequest:
    """What mutants was asked. UsageError for one that there is not."""
    names = chosen(options.name, mutant_names())
    for name in names:
        mutant_named(name)
    return MutantsRequest(
        names=names,
        of_the_day=options.of_the_day,
        plan=AgreePlan(
            operations=options.ops,
            seed=options.seed,
            guests=options.jobs,
            expected=OF_BASES[BASE],
        ),
    )
