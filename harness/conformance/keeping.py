"""Traces and divergences in files."""

from collections.abc import Callable
from pathlib import Path

from harness.conformance.playing import Found
from harness.divergence import Recording, render_recording, render_reproducer
from harness.errors import UsageError


def recorder(path: Path) -> Callable[[Recording], None]:
    """What appends recorded traces to a file; UsageError if it cannot be written."""
    try:
        # Said before anything is played.
        path.touch()
    except OSError as error:
        raise UsageError(f"traces cannot be recorded in {path}: {error}") from None

    def keep(recording: Recording) -> None:
        with open(path, "ab") as out:
            out.write(render_recording(recording))

    return keep


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
