"""Finds sysctls on disk that a killed process could not put back; puts them back."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from harness.host.locks import try_lock
from harness.linux import sysctls

_NAME = re.compile(r"\w+(\.[\w-]+)+", re.ASCII)


def left_settings() -> list[Path]:
    """The files with settings whose owner no longer runs."""
    found = sorted(Path(sysctls.KEPT).glob(f"{sysctls.PREFIX}*"))
    left = []
    for path in found:
        with _locked(path) as text:
            if text is not None:
                left.append(path)
    return left


def put_back_left(path: Path) -> dict[str, str]:
    """Put back the settings in one of these files; those that were changed.

    Raises OSError if that is not permitted; then the file is kept.
    """
    with _locked(path) as text:
        if text is None:
            return {}
        # An incomplete file: its owner was killed before it changed any setting.
        before, changed = parse_kept(text) or ({}, None)
        done = sysctls.put_back(before, changed)
        path.unlink()
    return done


def parse_kept(text: bytes) -> tuple[sysctls.Settings, sysctls.Settings | None] | None:
    """The old values, and the new ones if known; None if the text is malformed."""
    try:
        before, changed = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    known = _are_settings(before) and (changed is None or _are_settings(changed))
    if not known or not set(changed or ()) <= set(before):
        return None
    return before, changed


def _are_settings(found: object) -> bool:
    return isinstance(found, dict) and all(
        _NAME.fullmatch(name) and isinstance(value, str)
        for name, value in found.items()
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bytes | None]:
    """Lock a file for the block; its content, or None if somebody else holds it.

    Also None for a file of another user, or one that cannot be opened.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        ours = try_lock(fd) and os.fstat(fd).st_uid == os.geteuid()
        yield os.read(fd, 1 << 16) if ours else None
    finally:
        os.close(fd)
