"""Checks of the paths that a user gives, made before any work starts."""

import os
from pathlib import Path

from harness.errors import EnvironmentFault, UsageError


def check_folder(path: Path) -> None:
    """Check that a folder exists or can be created; a folder made for this is removed.

    Raises EnvironmentFault with the reason.
    """
    missing = [p for p in (path, *path.parents) if not p.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot create the folder {path}: {error.strerror}; choose another folder"
        ) from None
    finally:
        for made in missing:
            if made.is_dir():
                made.rmdir()


def check_file(path: Path) -> None:
    """Check that a file can be written.

    An existing file keeps its content; a file made for this is removed. Raises
    EnvironmentFault with the reason.
    """
    existed = os.path.lexists(path)
    try:
        path.open("ab").close()
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write {path}: {error.strerror}; choose another path"
        ) from None
    if not existed:
        path.unlink()


def check_suffix(path: Path, suffix: str) -> None:
    """Check that an output file has the suffix of its format; UsageError."""
    if path.suffix != suffix:
        raise UsageError(f"expected a file name that ends in {suffix}, not {path}")


def check_not_in_use(path: Path, campaign: Path) -> None:
    """Check that an output file would not overwrite one of a campaign's; UsageError."""
    target, own = path.parent.resolve() / path.name, campaign.resolve()
    if os.path.lexists(path) and own in (target, *target.parents):
        raise UsageError(
            f"{path} is one of the campaign's own files; choose another path"
        )


def check_given_folder(option: str, path: Path | None) -> None:
    """Check that the folder given with ``option`` exists; UsageError."""
    if path is not None and not path.is_dir():
        raise UsageError(f"{option} expects an existing folder, not {path}")
