"""Finds out whether a traced task stopped at the entry or the exit of a system call.

Source: PTRACE_GET_SYSCALL_INFO, include/uapi/linux/ptrace.h; since Linux 5.3. It is the
same on every machine, so no names of registers are needed.
"""

import ctypes
import errno
from dataclasses import dataclass

from harness.errors import UnsupportedError
from harness.linux.libc import check, quick

_PTRACE_GET_SYSCALL_INFO = 0x420E
_ENTRY, _EXIT = 1, 2

_ptrace = quick.ptrace
_ptrace.restype = ctypes.c_long
_ptrace.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class _Words(ctypes.Structure):
    _fields_ = (("number", ctypes.c_uint64), ("arguments", ctypes.c_uint64 * 6))


class _Result(ctypes.Structure):
    _fields_ = (("value", ctypes.c_int64), ("is_error", ctypes.c_uint8))


class _At(ctypes.Union):
    _fields_ = (("entry", _Words), ("exit", _Result))


class _Info(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32),
        ("instruction_pointer", ctypes.c_uint64), ("stack_pointer", ctypes.c_uint64),
        ("at", _At),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entered:
    """The entry of a system call: its number, and its six unsigned arguments."""

    number: int
    arguments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Returned:
    """The exit of a system call: its result, and its errno, or 0 if it succeeded."""

    result: int
    error: int


def syscall_stop(task: int) -> Entered | Returned | None:
    """The system call at which a traced task is stopped; None if it is at none.

    Raises UnsupportedError if the kernel cannot report it, and OSError with ESRCH if
    the task is not stopped.
    """
    info = _Info()
    size = ctypes.sizeof(info)
    try:
        check(_ptrace(_PTRACE_GET_SYSCALL_INFO, task, size, ctypes.byref(info)))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise UnsupportedError(
            "this kernel does not describe the system calls of a traced process: "
            "PTRACE_GET_SYSCALL_INFO needs Linux 5.3, and User-Mode Linux has none"
        ) from None
    if info.op == _ENTRY:
        return Entered(int(info.at.entry.number), tuple(info.at.entry.arguments))
    if info.op == _EXIT:
        value = int(info.at.exit.value)
        return Returned(value, -value if info.at.exit.is_error else 0)
    return None
