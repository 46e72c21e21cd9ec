"""Where things are kept: the cache (XDG), and the kernels/ that came with us."""

import os
from pathlib import Path

import harness


def cache_dir() -> Path:
    """``$XDG_CACHE_HOME/anon-vma-harness``, by default under ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path is to be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "anon-vma-harness"


def package_dir() -> Path:
    """The folder of the importable package."""
    return Path(harness.__file__).parent


def kernels_dir() -> Path:
    """The variants, configurations and patches: the wheel's own or the checkout's."""
    inside = package_dir() / "kernels"
    return inside if inside.is_dir() else package_dir().parent / "kernels"
