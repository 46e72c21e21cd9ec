"""PROCMAP_QUERY: one VMA by address, without text (Linux 6.11 and later).

Source: fs/proc/task_mmu.c do_procmap_query(), include/uapi/linux/fs.h.
"""

import ctypes
import errno
import fcntl
import os
from dataclasses import dataclass

from harness.linux.uapi import (
    PROCMAP_QUERY,
    PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
    PROCMAP_QUERY_VMA_EXECUTABLE,
    PROCMAP_QUERY_VMA_READABLE,
    PROCMAP_QUERY_VMA_SHARED,
    PROCMAP_QUERY_VMA_WRITABLE,
)

# PATH_MAX: names need at most 93 bytes, but paths may need all of it.
_NAME_SIZE = 4096
_ACCESS = (
    PROCMAP_QUERY_VMA_READABLE,
    PROCMAP_QUERY_VMA_WRITABLE,
    PROCMAP_QUERY_VMA_EXECUTABLE,
)


class _Query(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint64),
        ("query_flags", ctypes.c_uint64),
        ("query_addr", ctypes.c_uint64),
        ("vma_start", ctypes.c_uint64),
        ("vma_end", ctypes.c_uint64),
        ("vma_flags", ctypes.c_uint64),
        ("vma_page_size", ctypes.c_uint64),
        ("vma_offset", ctypes.c_uint64),
        ("inode", ctypes.c_uint64),
        ("dev_major", ctypes.c_uint32),
        ("dev_minor", ctypes.c_uint32),
        ("vma_name_size", ctypes.c_uint32),
        ("build_id_size", ctypes.c_uint32),
        ("vma_name_addr", ctypes.c_uint64),
        ("build_id_addr", ctypes.c_uint64),
    )


@dataclass(frozen=True, slots=True)
class QueriedVma:
    """A VMA as the ioctl returns it, with the fields of ``MapsEntry``.

    ``pathname`` is empty for a VMA without a name. It contains newlines of a path
    unchanged; maps writes them as ``\\012``.
    """

    start: int
    end: int
    perms: str
    offset: int
    major: int
    minor: int
    inode: int
    pathname: bytes


def query_vma(
    address: int, *, pid: int | None = None, or_next: bool = False
) -> QueriedVma | None:
    """The VMA that contains an address, or None.

    With ``or_next``, the next VMA above the address if none contains it.

    Raises OSError: ENOTTY on a kernel before 6.11.
    """
    name = ctypes.create_string_buffer(_NAME_SIZE)
    query = _Query(
        size=ctypes.sizeof(_Query),
        query_flags=PROCMAP_QUERY_COVERING_OR_NEXT_VMA if or_next else 0,
        query_addr=address,
        vma_name_size=_NAME_SIZE,
        vma_name_addr=ctypes.addressof(name),
    )
    fd = os.open(f"/proc/{'self' if pid is None else pid}/maps", os.O_RDONLY)
    try:
        fcntl.ioctl(fd, PROCMAP_QUERY, query)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    finally:
        os.close(fd)
    # The size includes the NUL byte and is 0 for an unnamed VMA.
    length = max(query.vma_name_size - 1, 0)
    return QueriedVma(
        start=query.vma_start,
        end=query.vma_end,
        perms=_perms(query.vma_flags),
        offset=query.vma_offset,
        major=query.dev_major,
        minor=query.dev_minor,
        inode=query.inode,
        pathname=name.raw[:length],
    )


def _perms(flags: int) -> str:
    """The permissions as maps writes them."""
    letters = zip("rwx", _ACCESS, strict=True)
    access = "".join(letter if flags & bit else "-" for letter, bit in letters)
    return access + ("s" if flags & PROCMAP_QUERY_VMA_SHARED else "p")
