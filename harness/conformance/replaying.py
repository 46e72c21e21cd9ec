"""Checks recorded traces again, or plays them again on a target."""

from pathlib import Path

from harness.conformance.playing import Found, TraceTarget, diverging
from harness.divergence import Kernel, Recording, TraceChecker, parse_recording
from harness.divergence.recording import LONGEST
from harness.errors import RecordError, UsageError
from harness.host.files import lines_of
from harness.host.scratch import scratch_folder
from harness.lean.collector import collector_at_rest


def read_recordings(path: Path) -> list[Recording]:
    """Every trace in a file.

    Raises UsageError, with the line's number, for a line that is not a trace.
    """
    recordings: list[Recording] = []
    try:
        for line in lines_of(path, longest=LONGEST, unended=True):
            recordings.append(parse_recording(line))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    except (RecordError, UsageError) as error:
        where = f"{path}, line {len(recordings) + 1}"
        raise UsageError(f"{where}: {error}") from None
    if not recordings:
        raise UsageError(f"{path} contains no traces")
    return recordings


def check_recording(recording: Recording) -> Found | None:
    """The first divergence between a recording and the model; None if they agree.

    Raises UsageError for a trace that was recorded without results.
    """
    if not recording.seen:
        raise UsageError(
            "this trace has no recorded results; play it with --target instead"
        )
    kernel = Kernel.of(recording.kernel)
    checker = TraceChecker(recording.steps, kernel)
    with collector_at_rest():
        for seen in recording.seen:
            divergence = checker.check(seen)
            if divergence is not None:
                return Found(divergence=divergence, recording=recording, kernel=kernel)
    return None


def play_again(recording: Recording, target: TraceTarget) -> Found | None:
    """Play a trace again on a target; return its divergence, or None."""
    with scratch_folder() as scratch:
        console = scratch / "console.txt"
        found = diverging(target, recording.pages, [recording.steps], console)
    return found.get(0)
