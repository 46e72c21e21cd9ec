"""Reads TOML files that people write; an error is one message."""

import tomllib
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.host.files import read_small


def read_table(path: Path) -> dict[str, Any]:
    """The table in a TOML file. Raises UsageError if it cannot be read or parsed."""
    try:
        return tomllib.loads(read_small(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    # A very long number raises a plain ValueError, very deep brackets a RecursionError.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error!s:.300}") from None
