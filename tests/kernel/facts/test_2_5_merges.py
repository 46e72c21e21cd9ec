"""When neighbours become one VMA: names, flags, files.

Source: is_mergeable_vma(), in mm/mmap.c of 6.1 and mm/vma.c of 6.12. What
touched memory adds is in test_2_5_touched.py.
"""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.linux import lock_memory, remap_memory, unlock_memory
from harness.linux.uapi import (
    MAP_ANONYMOUS,
    MAP_NORESERVE,
    MAP_SHARED,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PROT_NONE,
    PROT_READ,
)
from tests.kernel.facts.arena import (
    ANONYMOUS,
    PAGE,
    READ_WRITE,
    Arena,
    advise,
    errno_of,
    system_call,
)
from tests.kernel.facts.rows import row

pytestmark = pytest.mark.kernel

MAP_GROWSDOWN = 0x0100
MADV_DONTFORK, MADV_DOFORK = 10, 11
MADV_NOHUGEPAGE, MADV_HUGEPAGE = 15, 14
MADV_DONTDUMP, MADV_DODUMP = 16, 17
MADV_WIPEONFORK, MADV_KEEPONFORK = 18, 19
MPOL_DEFAULT, MPOL_BIND = 0, 2


@row("2.5", "names are compared as text")
def test_equal_text_of_two_calls(arena: Arena) -> None:
    arena.map(0, 2)
    # Two calls, two allocations, one text.
    assert (arena.name(0, 1, b"text"), arena.name(1, 1, b"text")) == (0, 0)
    assert arena.names() == [(0, 2, b"text")]
    assert arena.name(1, 1, b"texts") == 0
    assert arena.names() == [(0, 1, b"text"), (1, 1, b"texts")]


@row("2.5", "NULL is not the empty string")
def test_null_and_empty(arena: Arena) -> None:
    arena.map(0, 2)
    assert arena.name(0, 1, b"") == 0
    assert arena.names() == [(0, 1, b""), (1, 1, None)]
    assert arena.name(0, 1, None) == 0
    assert arena.names() == [(0, 2, None)]


@row("2.5", "only adjacent VMAs merge")
def test_a_gap_keeps_apart(arena: Arena) -> None:
    arena.map(0, 1)
    arena.map(2, 1)
    assert (arena.name(0, 1, b"n"), arena.name(2, 1, b"n")) == (0, 0)
    assert arena.names() == [(0, 1, b"n"), (2, 1, b"n")]
    arena.map(1, 1)
    assert arena.name(1, 1, b"n") == 0
    assert arena.names() == [(0, 3, b"n")]


@row("2.5", "other permissions do not merge")
def test_permissions_keep_apart(arena: Arena) -> None:
    arena.map(0, 1, PROT_NONE)
    arena.map(1, 1, PROT_READ)
    assert arena.name(0, 2, b"n") == 0
    assert arena.shape() == [(0, 1, "---p", b"n"), (1, 1, "r--p", b"n")]
    assert arena.protect(0, 1, PROT_READ) == 0
    assert arena.shape() == [(0, 2, "r--p", b"n")]


@row("2.5", "other files do not merge")
def test_two_files_keep_apart(arena: Arena, anon_shmem: bool) -> None:
    for page in (0, 1):
        arena.map(page, 1, flags=MAP_SHARED | MAP_ANONYMOUS)
    if anon_shmem:
        assert arena.name(0, 2, b"n") == 0
    name = b"n" if anon_shmem else None
    assert arena.names() == [(0, 1, name), (1, 1, name)]


@row("2.5", "parts of one shared mapping merge again")
def test_one_file_merges(arena: Arena, anon_shmem: bool) -> None:
    arena.map(0, 3, flags=MAP_SHARED | MAP_ANONYMOUS)
    if anon_shmem:
        assert arena.name(0, 3, b"n") == 0
        assert arena.name(1, 1, b"part") == 0
        assert arena.names() == [(0, 1, b"n"), (1, 1, b"part"), (2, 1, b"n")]
        assert arena.name(1, 1, b"n") == 0
    else:
        assert arena.protect(1, 1, PROT_READ) == 0
        assert len(arena.names()) == 3
        assert arena.protect(1, 1, READ_WRITE) == 0
    assert len(arena.names()) == 1


# include/uapi/linux/userfaultfd.h
_UFFDIO_API = 3 << 30 | 24 << 16 | 0xAA << 8 | 0x3F
_UFFDIO_REGISTER = 3 << 30 | 32 << 16 | 0xAA << 8 | 0x00
_UFFDIO_UNREGISTER = 2 << 30 | 16 << 16 | 0xAA << 8 | 0x01


@row("2.5", "other userfaultfds do not merge")
def test_two_userfaultfds_keep_apart(arena: Arena) -> None:
    def register(fd: int, page: int) -> None:
        place = struct.pack("QQQQ", arena.at(page), PAGE, 1, 0)
        fcntl.ioctl(fd, _UFFDIO_REGISTER, place)

    arena.map(0, 2)
    assert arena.name(0, 2, b"n") == 0
    first, second = (system_call("userfaultfd", os.O_CLOEXEC) for _ in range(2))
    for fd in (first, second):
        fcntl.ioctl(fd, _UFFDIO_API, struct.pack("QQQ", 0xAA, 0, 0))
    register(first, 0)
    register(second, 1)
    apart = arena.names()
    fcntl.ioctl(second, _UFFDIO_UNREGISTER, struct.pack("QQ", arena.at(1), PAGE))
    register(first, 1)
    together = arena.names()
    os.close(first)
    os.close(second)

    assert apart == [(0, 1, b"n"), (1, 1, b"n")]
    assert together == [(0, 2, b"n")]


@row("2.5", "untouched memory merges by flags and name alone")
def test_mapped_apart_and_named_alike(arena: Arena) -> None:
    #  Mapped from last to first, as different mappings; c named first.
    for page in (2, 1, 0):
        arena.map(page, 1)
        assert arena.name(page, 1, b"%d" % page) == 0
    assert arena.names() == [(0, 1, b"0"), (1, 1, b"1"), (2, 1, b"2")]
    assert (arena.name(2, 1, b"n"), arena.name(0, 1, b"n")) == (0, 0)
    assert len(arena.names()) == 3
    assert arena.name(1, 1, b"n") == 0
    assert arena.names() == [(0, 3, b"n")]


@row("2.5", "untouched memory merges where it is moved to")
def test_untouched_memory_that_moves(arena: Arena) -> None:
    """Its pgoff is that of where it is: mm/mmap.c, mm/vma.c copy_vma()."""
    arena.map(0, 1)
    arena.map(10, 1)
    assert (arena.name(0, 1, b"n"), arena.name(10, 1, b"n")) == (0, 0)
    remap_memory(
        arena.at(10), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, new_start=arena.at(1)
    )
    assert arena.names() == [(0, 2, b"n")]


def flags_of(arena: Arena, page: int) -> list[str]:
    """The flags of the VMA that begins at a page: VmFlags of smaps."""
    smaps = Path("/proc/self/smaps").read_text().split("VmFlags:")
    at = next(i for i, text in enumerate(smaps) if f"{arena.at(page):08x}-" in text)
    return smaps[at + 1].splitlines()[0].split()


def is_accounted(arena: Arena, page: int) -> bool:
    """Whether the VMA that begins at a page has VM_ACCOUNT."""
    return "ac" in flags_of(arena, page)


@row("2.5", "other mempolicies do not merge")
def test_mempolicies_keep_apart(arena: Arena) -> None:
    def bind(mode: int, nodes: int) -> int:
        mask = ctypes.c_ulong(nodes)
        place = ctypes.addressof(mask) if nodes else 0
        return errno_of(
            lambda: system_call(
                "mbind", arena.at(1), PAGE, mode, place, 8 * bool(nodes)
            )
        )

    arena.map(0, 3)
    if bind(MPOL_DEFAULT, 0) == errno.ENOSYS:
        pytest.skip("CONFIG_NUMA is not built in")
    assert (arena.name(0, 3, b"n"), bind(MPOL_BIND, 1)) == (0, 0)
    assert arena.names() == [(0, 1, b"n"), (1, 1, b"n"), (2, 1, b"n")]
    assert (arena.name(0, 3, b"m"), len(arena.names())) == (0, 3)
    assert bind(MPOL_DEFAULT, 0) == 0
    assert arena.names() == [(0, 3, b"m")]


@row("2.5", "VM_SOFTDIRTY is ignored")
def test_soft_dirty_memory_merges(arena: Arena) -> None:
    arena.map(0, 1)
    if "sd" not in flags_of(arena, 0):
        pytest.skip("CONFIG_MEM_SOFT_DIRTY is not built in")
    assert arena.name(0, 1, b"n") == 0
    Path("/proc/self/clear_refs").write_text("4")
    arena.map(1, 1)
    assert ("sd" in flags_of(arena, 0), "sd" in flags_of(arena, 1)) == (False, True)
    assert arena.name(1, 1, b"n") == 0
    assert arena.names() == [(0, 2, b"n")]


@row("2.5", "VM_ACCOUNT is kept after mprotect where touched")
def test_once_written_memory_keeps_apart(arena: Arena) -> None:
    arena.map(0, 1)
    arena.touch(0, 1)
    assert arena.protect(0, 1, PROT_READ) == 0
    arena.map(1, 1, PROT_READ)
    assert (is_accounted(arena, 0), is_accounted(arena, 1)) == (True, False)
    assert arena.name(0, 2, b"n") == 0
    assert arena.shape() == [(0, 1, "r--p", b"n"), (1, 1, "r--p", b"n")]


@row("2.5", "VM_ACCOUNT of untouched memory after mprotect, as the kernel has it")
def test_once_writable_memory_merges_if_it_is_not_accounted(arena: Arena) -> None:
    """6.1 keeps it; 6.12 gives it up (mm/mprotect.c mprotect_fixup())."""
    arena.map(0, 1)
    assert is_accounted(arena, 0)
    assert arena.protect(0, 1, PROT_READ) == 0
    kept = is_accounted(arena, 0)
    arena.map(1, 1, PROT_READ)
    assert arena.name(0, 2, b"n") == 0
    assert len(arena.names()) == (2 if kept else 1)
    # Memory for which nothing is reserved has nothing to keep.
    arena.map(10, 1, flags=ANONYMOUS | MAP_NORESERVE)
    assert arena.protect(10, 1, PROT_READ) == 0
    arena.map(11, 1, PROT_READ, ANONYMOUS | MAP_NORESERVE)
    assert arena.name(10, 2, b"n") == 0
    assert arena.shape()[-1] == (10, 2, "r--p", b"n")


def assert_is_a_flag(
    arena: Arena, put: Callable[[], object], take: Callable[[], object]
) -> None:
    """A flag on the second of three pages splits; without it they merge."""
    arena.map(0, 3)
    assert arena.name(0, 3, b"n") == 0
    put()
    assert arena.names() == [(0, 1, b"n"), (1, 1, b"n"), (2, 1, b"n")]
    # To be named alike once more does not bring them together.
    assert (arena.name(0, 3, b"m"), len(arena.names())) == (0, 3)
    take()
    assert arena.names() == [(0, 3, b"m")]


def assert_advice_is_a_flag(arena: Arena, put: int, take: int) -> None:
    def give(advice: int) -> None:
        assert advise(arena, 1, 1, advice) == 0

    assert_is_a_flag(arena, lambda: give(put), lambda: give(take))


@row("2.5", "VM_LOCKED is a flag")
def test_locked(arena: Arena) -> None:
    # Read-only: mlock touches what it locks, and so the neighbours too.
    lock_memory(arena.at(0), 0)
    arena.map(0, 3, PROT_NONE)
    assert arena.name(0, 3, b"n") == 0
    with pytest.raises(OSError, match="Cannot allocate"):
        lock_memory(arena.at(1), PAGE)
    assert arena.names() == [(0, 1, b"n"), (1, 1, b"n"), (2, 1, b"n")]
    assert (arena.name(0, 3, b"m"), len(arena.names())) == (0, 3)
    unlock_memory(arena.at(1), PAGE)
    assert arena.names() == [(0, 3, b"m")]


@row("2.5", "VM_DONTCOPY is a flag")
def test_dontfork(arena: Arena) -> None:
    assert_advice_is_a_flag(arena, MADV_DONTFORK, MADV_DOFORK)


@row("2.5", "VM_WIPEONFORK is a flag")
def test_wipeonfork(arena: Arena) -> None:
    assert_advice_is_a_flag(arena, MADV_WIPEONFORK, MADV_KEEPONFORK)


@row("2.5", "VM_DONTDUMP is a flag")
def test_dontdump(arena: Arena) -> None:
    assert_advice_is_a_flag(arena, MADV_DONTDUMP, MADV_DODUMP)


@row("2.5", "VM_NOHUGEPAGE is a flag")
def test_nohugepage(arena: Arena) -> None:
    arena.map(10, 1)
    if advise(arena, 10, 1, MADV_NOHUGEPAGE) != 0:
        pytest.skip("CONFIG_TRANSPARENT_HUGEPAGE is not built in")
    arena.unmap(10, 1)
    # Nothing but HUGEPAGE takes it away again.
    arena.map(0, 3)
    assert (arena.name(0, 3, b"n"), advise(arena, 1, 1, MADV_NOHUGEPAGE)) == (0, 0)
    assert (arena.name(0, 3, b"m"), len(arena.names())) == (0, 3)
    assert advise(arena, 0, 3, MADV_HUGEPAGE) == 0
    assert arena.names() == [(0, 3, b"m")]


@row("2.5", "VM_NORESERVE is a flag")
def test_noreserve(arena: Arena) -> None:
    arena.map(0, 1)
    arena.map(1, 1, flags=ANONYMOUS | MAP_NORESERVE)
    arena.map(2, 1, flags=ANONYMOUS | MAP_NORESERVE)
    assert arena.name(0, 3, b"n") == 0
    assert arena.names() == [(0, 1, b"n"), (1, 2, b"n")]


@row("2.5", "VM_GROWSDOWN is a flag")
def test_growsdown(arena: Arena) -> None:
    # A page below, so that the gap which the kernel keeps is not in the way.
    arena.map(1, 1, flags=ANONYMOUS | MAP_GROWSDOWN)
    arena.map(2, 1)
    assert arena.name(1, 2, b"n") == 0
    assert arena.names() == [(1, 1, b"n"), (2, 1, b"n")]
