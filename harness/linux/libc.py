"""The C library through ctypes: argument types are set once, errno is always checked.

There are two handles. ``quick`` keeps the interpreter lock: for calls that do not
block, and for clone, because the child must own the lock. ``blocking`` releases it.
"""

import ctypes
import os

quick = ctypes.PyDLL(None, use_errno=True)
blocking = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> int:
    """Return the result of a call; raise the OSError of errno if it is -1."""
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
