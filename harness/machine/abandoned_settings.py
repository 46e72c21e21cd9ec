"""Settings that nobody is left to put back: found on disk, and put back."""

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
    """Where settings are kept that nobody is left to put back."""
    found = sorted(Path(sysctls.KEPT).glob(f"{sysctls.PREFIX}*"))
    left = []
    for path in found:
        with _taken(path) as text:
            if text is not None:
                left.append(path)
    return left


def put_back_left(path: Path) -> dict[str, str]:
    """Put back what one of them keeps: the settings that were changed.

    Raises OSError where that is not allowed; it is kept then.
    """
    with _taken(path) as text:
        if text is None:
            return {}
        # Killed before it was whole, and so before anything was changed.
        before, changed = parse_kept(text) or ({}, None)
        done = sysctls.put_back(before, changed)
        path.unlink()
    return done


def parse_kept(text: bytes) -> tuple[sysctls.Settings, sysctls.Settings | None] | None:
    """What settings were and which were to be changed; None where it does not say."""
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
def _taken(path: Path) -> Iterator[bytes | None]:
    """What is in a file that nobody holds, held meanwhile; None of another."""
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
