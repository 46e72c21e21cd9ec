"""TOML that people write: a table, or one message of what is wrong with it."""

import tomllib
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.host.files import read_small


def read_table(path: Path) -> dict[str, Any]:
    """What a TOML file says. Raises UsageError for one that cannot be read."""
    try:
        return tomllib.loads(read_small(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    # Digits without end and brackets without end are no TOMLDecodeError.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error!s:.300}") from None
