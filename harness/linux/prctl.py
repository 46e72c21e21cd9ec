"""PR_SET_VMA_ANON_NAME: makes the call, and probes whether the kernel supports it.

Source: kernel/sys.c prctl_set_vma(), from 6.17 mm/madvise.c
set_anon_vma_name(); commit 9a10064f5625 ("mm: add a field to store names for
private anonymous memory").
"""

import ctypes
import errno
import mmap
import os
import signal
from dataclasses import dataclass
from enum import Enum

from harness.linux.libc import check, quick
from harness.linux.mman import map_memory, unmap_memory
from harness.linux.procfs import read_maps
from harness.linux.uapi import (
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    PR_SET_PDEATHSIG,
    PR_SET_VMA,
    PR_SET_VMA_ANON_NAME,
    PROT_READ,
)
from harness.maps import WIDTH

_prctl = quick.prctl
_prctl.restype = ctypes.c_int
_prctl.argtypes = (
    ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p,
)  # fmt: skip


def set_anon_name(
    start: int,
    length: int,
    name: bytes | int | None,
    *,
    attr: int = PR_SET_VMA_ANON_NAME,
) -> None:
    """Name the ``length`` bytes of memory at ``start``; None clears the name.

    Nothing is checked here, because this project tests what the kernel refuses and
    with which errno. Bytes end at their first NUL byte, as in C; an int is the
    address of the name. Raises OSError; parts of the range may be named even then.
    """
    check(_prctl(PR_SET_VMA, attr, start, length, name))


def die_with_parent() -> None:
    """Let the kernel kill this process when the thread that forked it ends.

    If that thread has already ended, nothing happens; ``bound_fork`` handles that.
    """
    check(_prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, None))


def bound_fork() -> int:
    """os.fork(); the child is killed when the thread that forked it ends.

    If the parent ended before the child could ask the kernel for this, the kernel
    would not kill the child. So the child checks its parent and kills itself.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with_parent()
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
    return pid


class AnonNameSupport(Enum):
    """The result of naming a page of fresh memory."""

    SUPPORTED = "supported"
    NOT_BUILT_IN = "not built in"
    FAULTY = "faulty"


@dataclass(frozen=True, slots=True)
class AnonNameProbe:
    """The result of ``probe_anon_name`` and the reason for it, in words."""

    support: AnonNameSupport
    reason: str


def probe_anon_name() -> AnonNameProbe:
    """Probe whether the running kernel names anonymous memory.

    EINVAL means "not built in" as well as "bad name". So the probe gives a valid name
    to a page of private anonymous memory and reads it back from maps. EINVAL then
    means NOT_BUILT_IN; any other error, or a wrong name in maps, means FAULTY.
    """
    name = b"probe"
    start = map_memory(0, mmap.PAGESIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS)
    try:
        try:
            set_anon_name(start, mmap.PAGESIZE, name)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return AnonNameProbe(
                    AnonNameSupport.NOT_BUILT_IN,
                    "a valid name on fresh private memory was refused with EINVAL: "
                    "the kernel was built without CONFIG_ANON_VMA_NAME",
                )
            return AnonNameProbe(
                AnonNameSupport.FAULTY,
                f"a valid name on fresh private memory was refused: {error}",
            )
        line = _line_from(start)
    finally:
        unmap_memory(start, mmap.PAGESIZE)
    if not line.endswith(b" [anon:%s]" % name):
        return AnonNameProbe(
            AnonNameSupport.FAULTY,
            f"the name was accepted, but /proc/self/maps shows {line[WIDTH + 1 :]!r}",
        )
    return AnonNameProbe(AnonNameSupport.SUPPORTED, "a name was set and read back")


def _line_from(start: int) -> bytes:
    """The line of maps that begins at an address; empty if there is none."""
    # Every worker calls this: parsing would need regular expressions, and importing
    # those takes time.
    lines = read_maps().split(b"\n")
    return next((line for line in lines if line.startswith(b"%08x-" % start)), b"")


def anon_name_supported() -> bool:
    """Whether the running kernel names anonymous memory.

    Raises OSError(EPROTO) if the probe says FAULTY.
    """
    probe = probe_anon_name()
    if probe.support is AnonNameSupport.FAULTY:
        raise OSError(errno.EPROTO, probe.reason)
    return probe.support is AnonNameSupport.SUPPORTED
