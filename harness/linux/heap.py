"""Reads and sets the program break by system calls.

glibc's brk() and sbrk() keep their own copy of the break, so they are not used.
"""

import ctypes
import errno
import os

from harness.linux.libc import check, quick
from harness.linux.uapi import (
    PR_SET_MM,
    PR_SET_MM_BRK,
    PR_SET_MM_START_BRK,
    syscall_number,
)

_brk = quick.syscall
_brk.restype = ctypes.c_long
_brk.argtypes = (ctypes.c_long,) * 6
_prctl = quick.prctl


def set_break(address: int) -> None:
    """Set the break to an address. Raises OSError(ENOMEM) if the kernel refuses."""
    if _brk(syscall_number("brk"), address, 0, 0, 0, 0) != address:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def current_break() -> int:
    """The address of the break."""
    return int(_brk(syscall_number("brk"), 0, 0, 0, 0, 0))


def move_heap(address: int) -> None:
    """Begin an empty heap at an address; the old heap becomes ordinary memory.

    malloc keeps its memory, but does not extend it by brk any more, because the break
    is not where malloc left it. Needs CAP_SYS_RESOURCE (EPERM).
    Source: kernel/sys.c prctl_set_mm(); it refuses a start above the end.
    """
    fields = [PR_SET_MM_START_BRK, PR_SET_MM_BRK]
    if address > current_break():
        fields.reverse()
    for field in fields:
        check(_prctl(PR_SET_MM, field, ctypes.c_ulong(address), 0, 0))
