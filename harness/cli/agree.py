"""The commands that hold a kernel against the model: agree and replay."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from harness.campaign import TargetChoice
from harness.campaign.agree import Agreement, agree, shrunk
from harness.campaign.playing import Found, PlayTarget
from harness.campaign.replaying import judge_recording, play_again, read_recordings
from harness.campaign.subjects import HOST, chosen_target
from harness.cli.places import check_file, check_folder
from harness.cli.progress import Progress
from harness.cli.requests import AgreeRequest, ReplayRequest
from harness.cli.tables import stdout_console
from harness.errors import HarnessError, UsageError
from harness.measure.conditions import SILICON_HOST
from harness.oracle import Recording, render_recording, render_reproducer
from harness.oracle.drawing import draw
from harness.programs import printable
from harness.target import HostTarget

AGREED, DIVERGED = 0, 1

Targets = Callable[[threading.Event], PlayTarget]


def agree_(request: AgreeRequest) -> int:
    """Play random traces; 1 when one diverges, which is then shrunk and kept."""
    if request.record is not None:
        check_file(request.record)
    check_folder(request.out)
    with Progress() as progress:
        targets = targets_of(
            request.choice, request.variant, request.base, on_step=progress.step
        )
        keep = None if request.record is None else _recorder(request.record)
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
    print(f"kept in {where}: trace.jsonl for anonvma replay, reproduce.py for anyone")
    return DIVERGED


def _shrunk_and_kept(
    found: Found, place: Path, targets: Targets, progress: Progress
) -> Found:
    # Whatever ends the search, the shortest that was found is in its place.
    best = found
    try:
        for best in shrunk(found, targets, on_step=progress.step):
            keep_divergence(best, place)
    except (HarnessError, OSError) as error:
        why = str(error).partition("\n")[0]
        progress.line(f"not shrunk any further: {why}")
    except BaseException:
        progress.line(f"the divergence, as far as it was shrunk, is kept in {place}")
        raise
    return best


def _recorder(path: Path) -> Callable[[Recording], None]:
    try:
        # Said before anything is played.
        path.touch()
    except OSError as error:
        raise UsageError(f"traces cannot be recorded in {path}: {error}") from None

    def keep(recording: Recording) -> None:
        with open(path, "ab") as out:
            out.write(render_recording(recording))

    return keep


def agreed_words(agreement: Agreement) -> str:
    """What agreed, in one line."""
    exact = agreement.operations - agreement.by_content
    rate = agreement.operations / max(agreement.seconds, 1e-9)
    died = f", {agreement.deaths} of them once more" if agreement.deaths else ""
    return (
        f"agreed: {agreement.operations} operations in {agreement.traces} traces"
        f"{died}, "
        f"{exact} by exact shape and {agreement.by_content} by content; "
        f"{agreement.seconds:.0f} s, {rate:.0f} operations a second"
    )


def replay(request: ReplayRequest) -> int:
    """Judge recorded traces, or play them again; 1 when one diverges."""
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
                found = judge_recording(recording)
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


def targets_of(
    choice: TargetChoice,
    variant: str,
    base: str,
    *,
    on_step: Callable[[str], None],
) -> Targets:
    """What plays traces for a choice, made ready; each is stopped by its event."""
    if choice.kind == HOST:
        return lambda stop: HostTarget(
            conditions=SILICON_HOST, deadlines=choice.deadlines, stop=stop
        )
    target = chosen_target(choice, variant, base, on_step=on_step)
    return lambda stop: replace(target, stop=stop)


def show_divergence(found: Found) -> None:
    """The headline, the steps that led to it when they are few, and the rulers."""
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


def keep_divergence(found: Found, place: Path) -> None:
    """Write a divergence's trace and reproducer to a folder, over older ones."""
    steps = found.recording.steps[: found.divergence.index + 1]
    program = render_reproducer(
        found.divergence, steps, kernel=found.kernel, pages=found.recording.pages,
        release=found.release,
    )  # fmt: skip
    try:
        place.mkdir(parents=True, exist_ok=True)
        _write_whole(place / "trace.jsonl", render_recording(found.recording))
        _write_whole(place / "reproduce.py", program.encode(), mode=0o755)
    except OSError as error:
        raise UsageError(f"the divergence cannot be kept in {place}: {error}") from None


def _write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    # What was kept before stays until this is there.
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(path)
