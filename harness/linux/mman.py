"""Memory calls by address: mmap and its relatives, passed to the kernel unchanged.

Every function raises OSError with the kernel's errno. Addresses and lengths
are in bytes; nothing is rounded.
"""

import ctypes

from harness.linux.libc import check, quick

_MAP_FAILED = ctypes.c_size_t(-1).value

_mmap = quick.mmap
_mmap.restype = ctypes.c_size_t
_mmap.argtypes = (
    ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
    ctypes.c_long,
)  # fmt: skip
_munmap = quick.munmap
_munmap.restype = ctypes.c_int
_munmap.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
_mprotect = quick.mprotect
_mprotect.restype = ctypes.c_int
_mprotect.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
_mremap = quick.mremap
_mremap.restype = ctypes.c_size_t
_mremap.argtypes = (
    ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_size_t,
)  # fmt: skip
_madvise = quick.madvise
_madvise.restype = ctypes.c_int
_madvise.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
_mlock = quick.mlock
_mlock.restype = ctypes.c_int
_mlock.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
_munlock = quick.munlock
_munlock.restype = ctypes.c_int
_munlock.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
_read = quick.read
_read.restype = ctypes.c_ssize_t
_read.argtypes = (ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)


def _check_address(address: int) -> int:
    check(-1 if address == _MAP_FAILED else 0)
    return address


def map_memory(
    start: int, length: int, prot: int, flags: int, *, fd: int = -1, offset: int = 0
) -> int:
    """mmap(2); returns the address of the new mapping."""
    return _check_address(_mmap(start, length, prot, flags, fd, offset))


def unmap_memory(start: int, length: int) -> None:
    """munmap(2)."""
    check(_munmap(start, length))


def protect_memory(start: int, length: int, prot: int) -> None:
    """mprotect(2)."""
    check(_mprotect(start, length, prot))


def remap_memory(
    start: int, length: int, new_length: int, flags: int, *, new_start: int = 0
) -> int:
    """mremap(2); returns the new address. ``new_start`` is for MREMAP_FIXED."""
    return _check_address(_mremap(start, length, new_length, flags, new_start))


def advise_memory(start: int, length: int, advice: int) -> None:
    """madvise(2)."""
    check(_madvise(start, length, advice))


def lock_memory(start: int, length: int) -> None:
    """mlock(2); it also faults in every page, writable private ones by a write."""
    check(_mlock(start, length))


def unlock_memory(start: int, length: int) -> None:
    """munlock(2)."""
    check(_munlock(start, length))


def read_into(fd: int, start: int, length: int) -> int:
    """read(2) to an address; returns the number of bytes read.

    If memory is missing or not writable, the kernel answers EFAULT or reads fewer
    bytes. A direct write to that memory would kill the process.
    """
    return check(_read(fd, start, length))
