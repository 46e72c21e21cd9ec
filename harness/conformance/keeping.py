"""Writes traces and divergences to files."""

from collections.abc import Callable
from pathlib import Path

from harness.conformance.playing import Found
from harness.divergence import Recording, render_recording, render_reproducer
from harness.errors import UsageError


def recorder(path: Path) -> Callable[[Recording], None]:
    """A function that appends recordings to a file.

    Raises UsageError if the file cannot be written.
    """
    try:
        # Fail now, before anything is played.
        path.touch()
    except OSError as error:
        raise UsageError(f"traces cannot be recorded in {path}: {error}") from None

    def keep(recording: Recording) -> None:
        with open(path, "ab") as out:
            out.write(render_recording(recording))

    return keep


def keep_divergence(found: Found, folder: Path) -> None:
    """Write a divergence's trace and reproducer to a folder, replacing older ones.

    Raises UsageError if they cannot be written.
    """
    steps = found.recording.steps[: found.divergence.index + 1]
    program = render_reproducer(
        found.divergence, steps, kernel=found.kernel, pages=found.recording.pages,
        release=found.release,
    )  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_whole(folder / "trace.jsonl", render_recording(found.recording))
        _write_whole(folder / "reproduce.py", program.encode(), mode=0o755)
    except OSError as error:
        raise UsageError(
            f"the divergence cannot be written to {folder}: {error}"
        ) from None


def _write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    # The older file stays until the new one is complete.
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(path)
