"""TOML that people write: a table, or one message of what is wrong with it."""

import tomllib
from pathlib import Path
from typing import Any

from harness.errors import UsageError

# A plan or a variant has a few hundred.
_MOST_BYTES = 1 << 20


def read_table(path: Path) -> dict[str, Any]:
    """What a TOML file says. Raises UsageError for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{path} is not TOML that people write: over {_MOST_BYTES} B")
    try:
        return tomllib.loads(content.decode())
    # Digits without end and brackets without end are no TOMLDecodeError.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error!s:.300}") from None
