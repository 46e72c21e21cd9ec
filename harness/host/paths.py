"""The paths of the cache (XDG), of the package, and of its kernels/ folder."""

import os
from pathlib import Path

import harness


def cache_dir() -> Path:
    """``$XDG_CACHE_HOME/anon-vma-harness``, by default under ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says: ignore a relative path.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "anon-vma-harness"


def package_dir() -> Path:
    """The folder of the importable package."""
    return Path(harness.__file__).parent


def kernels_dir() -> Path:
    """The folder of variants, configurations and patches, in the wheel or checkout."""
    inside = package_dir() / "kernels"
    return inside if inside.is_dir() else package_dir().parent / "kernels"
