"""The program break, as the kernel keeps it.

glibc's brk() and sbrk() remember the break themselves; these do not ask it.
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
    """brk(2) to an address. Raises OSError(ENOMEM) where the break stays."""
    if _brk(syscall_number("brk"), address, 0, 0, 0, 0) != address:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def current_break() -> int:
    """Where the break is."""
    return int(_brk(syscall_number("brk"), 0, 0, 0, 0, 0))


def move_heap(address: int) -> None:
    """Begin an empty heap at an address; what was the heap is ordinary memory.

    malloc keeps what it has, and takes no more from a break that is not where
    it left it. Needs CAP_SYS_RESOURCE (EPERM).
    Source: kernel/sys.c prctl_set_mm(), which wants the start not above the end.
    """
    fields = [PR_SET_MM_START_BRK, PR_SET_MM_BRK]
    if address > current_break():
        fields.reverse()
    for field in fields:
        check(_prctl(PR_SET_MM, field, ctypes.c_ulong(address), 0, 0))
