"""Whether a place can be written to or read, asked before anything is done."""

import os
from pathlib import Path

from harness.errors import EnvironmentFault, UsageError


def check_folder(path: Path) -> None:
    """Assert that a folder is there, or can be made; nothing stays made.

    Raises EnvironmentFault, which says why not.
    """
    missing = [p for p in (path, *path.parents) if not p.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(
            f"{path} cannot be a folder to write to: {error.strerror}; give another"
        ) from None
    finally:
        for made in missing:
            if made.is_dir():
                made.rmdir()


def check_file(path: Path) -> None:
    """Assert that a file can be written; what is there stays, nothing stays made.

    Raises EnvironmentFault, which says why not.
    """
    there = os.path.lexists(path)
    try:
        path.open("ab").close()
    except OSError as error:
        raise EnvironmentFault(
            f"{path} cannot be written: {error.strerror}; give another place"
        ) from None
    if not there:
        path.unlink()


def check_suffix(path: Path, suffix: str) -> None:
    """Assert that what is to be made is called what it will be; UsageError."""
    if path.suffix != suffix:
        raise UsageError(f"expected a name that ends in {suffix}, not {path}")


def check_not_in_use(path: Path, campaign: Path) -> None:
    """Assert that a file is none of those that a campaign has; UsageError."""
    place, own = path.parent.resolve() / path.name, campaign.resolve()
    if os.path.lexists(path) and own in (place, *place.parents):
        raise UsageError(f"{path} is a file of the campaign itself; give another place")


def check_given_folder(option: str, path: Path | None) -> None:
    """Assert that a folder that a user named is there; UsageError."""
    if path is not None and not path.is_dir():
        raise UsageError(f"{option} expects a folder that is there, not {path}")
