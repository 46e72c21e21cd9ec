"""The package as it was at a revision, from git, in a folder of its own."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from harness.errors import UsageError

_REPOSITORY = Path(__file__).parents[2]
_DEADLINE_S = 60


def copy_of_checkout(folder: Path) -> None:
    """Copy ``harness`` as it is now: what is changed meanwhile is not measured."""
    shutil.copytree(
        _REPOSITORY / "harness", folder / "harness",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip


def unpack(revision: str, folder: Path) -> None:
    """Unpack ``harness`` of a revision; UsageError for one that git does not know."""
    done = subprocess.run(
        ["git", "archive", "--end-of-options", revision, "harness"],
        cwd=_REPOSITORY, capture_output=True, check=False, timeout=_DEADLINE_S,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UsageError(f"git has no revision {revision[:100]!r} of us: {said:.300}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
