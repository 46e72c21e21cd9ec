"""Commands that compare a kernel with the model: agree, replay."""

import argparse
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from harness.cli.arguments import (
    add_kernel,
    add_results,
    add_target,
    count,
    count_from_0,
    path,
    refuse_idle,
    seconds,
    words,
)
from harness.cli.choices import one_choice
from harness.cli.command import Command
from harness.cli.output import stdout_console
from harness.cli.paths import check_file, check_folder
from harness.cli.progress import Progress
from harness.conformance.agree import Agreement, AgreePlan, agree, shrunk
from harness.conformance.keeping import keep_divergence, recorder
from harness.conformance.playing import Found, Targets, targets_of
from harness.conformance.replaying import check_recording, play_again, read_recordings
from harness.divergence.drawing import draw
from harness.errors import HarnessError, UsageError
from harness.host.programs import printable
from harness.model import OF_BASES
from harness.targets import Deadlines
from harness.targets.subjects import HOST, TARGETS, TargetChoice
from harness.workload.gen import HARMLESS, Theme

AGREED, DIVERGED = 0, 1


# The default of --ops, and its value where only --seconds ends the command.
_OPERATIONS, _UNLIMITED = 20_000, 10**9


_OF_A_KERNEL = ("--variant", "--base", "--accel", "--deadline")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreeRequest:
    """The arguments of ``anonvma agree``.

    Every trace is appended to the file ``record``; divergences go to ``out``.
    """

    plan: AgreePlan
    choice: TargetChoice
    variant: str
    base: str
    shrink: bool
    record: Path | None
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """The arguments of ``anonvma replay``.

    Without ``choice``, the recorded observations are checked and no kernel runs.
    """

    trace: Path
    choice: TargetChoice | None
    variant: str
    base: str


def _add_agree(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--ops", type=count, metavar="N",
        help=f"operations to run (default: {_OPERATIONS})",
    )  # fmt: skip
    sub.add_argument(
        "--seconds", type=seconds, metavar="S",
        help="start no guest after this time (default: as long as --ops takes)",
    )  # fmt: skip
    sub.add_argument(
        "--seed", type=count_from_0, default=1, metavar="N",
        help="seed of the operations; the same seed runs the same ones (default: 1)",
    )  # fmt: skip
    sub.add_argument(
        "--theme", type=words, default=(), metavar="WORDS",
        help=f"kinds of traces: {', '.join(theme.value for theme in Theme)} (default: "
        "all in turn; on the host, those that cannot disturb other processes)",
    )  # fmt: skip
    sub.add_argument(
        "--length", type=count, default=400, metavar="N",
        help="operations per trace (default: 400)",
    )  # fmt: skip
    sub.add_argument(
        "--pages", type=count, default=32, metavar="N",
        help="pages of memory that a trace works on (default: 32)",
    )  # fmt: skip
    _add_player(sub, "uml")
    sub.add_argument(
        "--jobs", type=count, default=len(os.sched_getaffinity(0)), metavar="N",
        help="guests in parallel (default: one per CPU)",
    )  # fmt: skip
    sub.add_argument(
        "--record", type=path, metavar="FILE",
        help="append every trace and its results to a file, for replay",
    )  # fmt: skip
    sub.add_argument(
        "--no-shrink", dest="shrink", action="store_false",
        help="do not shorten a trace that diverges",
    )  # fmt: skip
    add_results(sub)


def _add_player(sub: argparse.ArgumentParser, default: str) -> None:
    known = ", ".join(TARGETS)
    add_target(
        sub,
        f"where the kernel runs: {known} (default: {default})",
        single=True,
        timed=False,
    )
    add_kernel(sub, variant="refcount")
    sub.add_argument(
        "--deadline", type=seconds, default=Deadlines().total_s, metavar="S",
        help="seconds that a guest may run (default: %(default)g)",
    )  # fmt: skip


def _agree_request(options: argparse.Namespace, _: Sequence[str]) -> AgreeRequest:
    """Raises UsageError for an option that has no effect."""
    choice = one_choice(options, "agree")
    if choice.kind == HOST:
        refuse_idle(
            options, ("--jobs",), "with --target host, which runs one trace at a time"
        )
    themes = _themes(options.theme, choice)
    operations = options.ops or (_UNLIMITED if options.seconds else _OPERATIONS)
    plan = AgreePlan(
        operations=operations,
        seconds=options.seconds,
        seed=options.seed,
        pages=options.pages,
        length=options.length,
        themes=themes,
        # The base of the user's own kernel is unknown, so nothing special is expected.
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
        # On the host, other processes share vm.max_map_count.
        return HARMLESS if choice.kind == HOST else tuple(Theme)
    known = ", ".join(theme.value for theme in Theme)
    try:
        return tuple(Theme(word) for word in words)
    except ValueError as error:
        raise UsageError(f"{error}; themes are {known}") from None


def run_agree(request: AgreeRequest) -> int:
    """Run random traces. Returns 1 if one diverges; it is then shrunk and kept."""
    if request.record is not None:
        check_file(request.record)
    check_folder(request.out)
    with Progress() as progress:
        targets = targets_of(
            request.choice, request.variant, request.base, on_step=progress.step
        )
        keep = None if request.record is None else recorder(request.record)
        agreement = agree(request.plan, targets, on_step=progress.step, keep=keep)
        found = agreement.found
        if found is None:
            print(agreed_words(agreement))
            return AGREED
        progress.line(f"diverged: {found.divergence.headline}")
        began = time.strftime("%Y%m%d-%H%M%S")
        place = request.out / f"diverged-{request.plan.seed}-{began}"
        keep_divergence(found, place)
        if request.shrink:
            found = _shrunk_and_kept(found, place, targets, progress)
    show_divergence(found)
    where = printable(str(place))
    print(f"kept in {where}: trace.jsonl for anonvma replay, reproduce.py to run alone")
    return DIVERGED


def _shrunk_and_kept(
    found: Found, place: Path, targets: Targets, progress: Progress
) -> Found:
    # Each shorter trace is kept at once, so that an interrupted search loses none.
    best = found
    try:
        for best in shrunk(found, targets, on_step=progress.step):
            keep_divergence(best, place)
    except (HarnessError, OSError) as error:
        why = str(error).partition("\n")[0]
        progress.line(f"shrinking stopped: {why}")
    except BaseException:
        progress.line(f"the shortest trace so far is kept in {place}")
        raise
    return best


def agreed_words(agreement: Agreement) -> str:
    """How much agreed, in one line."""
    exact = agreement.operations - agreement.by_content
    rate = agreement.operations / max(agreement.seconds, 1e-9)
    died = f" ({agreement.deaths} of them retried)" if agreement.deaths else ""
    return (
        f"agreed: {agreement.operations} operations in {agreement.traces} traces"
        f"{died}, "
        f"{exact} by exact shape and {agreement.by_content} by content; "
        f"{agreement.seconds:.0f} s, {rate:.0f} operations per second"
    )


def _add_replay(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "trace",
        type=path,
        metavar="TRACE",
        help="a file of agree --record, or trace.jsonl of a divergence",
    )
    _add_player(sub, "none, check the recorded results")


def _replay_request(options: argparse.Namespace, _: Sequence[str]) -> ReplayRequest:
    """Raises UsageError for options of a kernel if no kernel is chosen."""
    on_kernel = options.target or options.kernel or options.arch
    if not on_kernel:
        refuse_idle(options, _OF_A_KERNEL, "without --target, --kernel or --arch")
    return ReplayRequest(
        trace=options.trace,
        choice=one_choice(options, "replay") if on_kernel else None,
        variant=options.variant,
        base=options.base,
    )


def replay(request: ReplayRequest) -> int:
    """Check recorded traces, or run them again. Returns 1 if one diverges."""
    recordings = read_recordings(request.trace)
    diverged = 0
    started = time.monotonic()
    with Progress() as progress:
        targets = None
        if request.choice is not None:
            targets = targets_of(
                request.choice, request.variant, request.base, on_step=progress.step
            )
        steps = 0
        for number, recording in enumerate(recordings, 1):
            progress.step(f"replaying: trace {number} of {len(recordings)}")
            if targets is None:
                found = check_recording(recording)
            else:
                found = play_again(recording, targets(threading.Event()))
            steps += len(recording.steps)
            if found is not None:
                diverged += 1
                show_divergence(found)
    seconds = time.monotonic() - started
    print(
        f"{len(recordings)} traces, {steps} operations: "
        f"{f'{diverged} diverged' if diverged else 'all agreed'}; {seconds:.1f} s"
    )
    return DIVERGED if diverged else AGREED


def show_divergence(found: Found) -> None:
    """Print the headline, the steps that led to it if at most 20, and the drawing."""
    divergence = found.divergence
    console = stdout_console()
    steps = found.recording.steps[: divergence.index + 1]
    lines = [f"diverged on {found.release}, {divergence.headline}"]
    if len(steps) <= 20:
        lines += [
            f"  {at}: process {step.who}: {step}" for at, step in enumerate(steps)
        ]
    lines.append(draw(divergence, found.recording.pages))
    for line in "\n".join(lines).split("\n"):
        console.print(Text(printable(line)), soft_wrap=True)


AGREE = Command(
    name="agree",
    summary="Compare a kernel with the model, by random operations.",
    examples="""\
examples:
  anonvma agree                           20,000 operations, in User-Mode Linux
  anonvma agree --ops 250000 --seed 7 --base 6.1
  anonvma agree --target qemu --ops 5000  on ARM64
  anonvma agree --kernel ~/linux/linux    your own User-Mode Linux
""",
    add_options=_add_agree,
    request=_agree_request,
    run=run_agree,
)


REPLAY = Command(
    name="replay",
    summary="Check recorded traces with the model, or run them again.",
    examples="""\
examples:
  anonvma replay results/diverged-1-20261123-101500/trace.jsonl
  anonvma replay trace.jsonl --target uml --base 6.1
""",
    add_options=_add_replay,
    request=_replay_request,
    run=replay,
)


COMMANDS = (AGREE, REPLAY)
