"""The garbage collector at rest, while many values are made that are no garbage."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """No look for cycles inside; after it the collector is as it was.

    For what makes none: with a hundred thousand values at once, in a process that has
    pandas, each look takes longer than to make them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
