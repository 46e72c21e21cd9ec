"""The C library through ctypes: argument types set once, errno always checked.

Two handles. ``quick`` keeps the interpreter lock: for calls that do not block,
and for clone, whose child must not find the lock in another thread's hands.
``blocking`` releases it.
"""

import ctypes
import os

quick = ctypes.PyDLL(None, use_errno=True)
blocking = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> int:
    """The result of a call, or the OSError of its errno when it is -1."""
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
