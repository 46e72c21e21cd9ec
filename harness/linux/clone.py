"""fork and wait4 as bare system calls, with the clock read right around the call.

fork() in glibc and in Python runs handlers, which are not the kernel's cost. Python
does not notice the fork of ``timed_fork``: the child must leave through ``os._exit``.
"""

import ctypes
import signal
import time

from harness.linux.libc import blocking, check, quick
from harness.linux.uapi import syscall_number

_clone = quick.syscall
_clone.restype = ctypes.c_long
_clone.argtypes = (ctypes.c_long,) * 6
_wait4 = blocking.syscall
_wait4.restype = ctypes.c_long
_wait4.argtypes = (
    ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_long, ctypes.c_void_p,
)  # fmt: skip


def timed_fork(clock: int) -> tuple[int, int, int]:
    """Fork; (pid, clock before, clock after) in the parent and in the child.

    In the child pid is 0, and the child itself read the second clock, as its first
    action. Raises OSError (EAGAIN, ENOMEM).
    """
    call = _clone
    number = syscall_number("clone")
    now = time.clock_gettime_ns
    flags = int(signal.SIGCHLD)
    # The first read may fault in the vdso's data: read once outside the interval.
    now(clock)
    before = now(clock)
    pid = call(number, flags, 0, 0, 0, 0)
    after = now(clock)
    return check(pid), before, after


def timed_wait(pid: int, clock: int) -> tuple[int, int, int]:
    """Wait for a child; (wait status, clock before, clock after).

    Raises OSError (ECHILD, EINTR).
    """
    call = _wait4
    number = syscall_number("wait4")
    now = time.clock_gettime_ns
    status = ctypes.c_int()
    pointer = ctypes.byref(status)
    before = now(clock)
    result = call(number, pid, pointer, 0, None)
    after = now(clock)
    check(result)
    return status.value, before, after
