"""Which mappings can be named, and how they are shown.

Source: mm/madvise.c madvise_vma_anon_name(), mm/shmem.c vma_is_anon_shmem(),
fs/proc/task_mmu.c show_map_vma().
"""

import errno
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.linux import move_heap, read_maps, set_break
from harness.linux.uapi import (
    MAP_ANONYMOUS,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_EXEC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from harness.maps import MapsEntry, parse_maps
from tests.kernel.facts.arena import (
    ANONYMOUS,
    PAGE,
    READ_WRITE,
    Arena,
    entry_of,
    errno_of,
    name_at,
    system_call,
    told_by_child,
)
from tests.kernel.facts.rows import row

pytestmark = pytest.mark.kernel

MAP_GROWSDOWN, MAP_STACK, MAP_HUGETLB = 0x0100, 0x20000, 0x40000
HUGE_PAGES = (2 << 20) // PAGE
NAME = b"n"


def shown(arena: Arena) -> bytes:
    """The text of the arena's only VMA."""
    (entry,) = arena.entries()
    return entry.pathname


def specials() -> list[MapsEntry]:
    """The mappings that the kernel made for itself."""
    return [
        e
        for e in parse_maps(read_maps())
        if e.pathname.startswith((b"[vdso", b"[vvar"))
    ]


@pytest.fixture(params=["/dev/shm", "/run"])
def tmpfs_file(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file of one page on a tmpfs."""
    path = Path(request.param, "anon-name-test")
    path.write_bytes(b"x" * PAGE)
    yield path
    path.unlink(missing_ok=True)


def assert_as_anon_shmem(arena: Arena, *, nameable: bool) -> None:
    """Page 0 is anon-shmem: named from 6.2 on, and EBADF before."""
    unnamed = shown(arena)
    assert unnamed.endswith(b" (deleted)")
    if nameable:
        assert (arena.name(0, 1, NAME), shown(arena)) == (0, b"[anon_shmem:n]")
        assert (arena.name(0, 1, None), shown(arena)) == (0, unnamed)
    else:
        assert (arena.name(0, 1, NAME), shown(arena)) == (errno.EBADF, unnamed)


def assert_as_a_file(arena: Arena, path: bytes) -> None:
    """Page 0 is a file's, and can't be named."""
    assert shown(arena) == path
    assert (arena.name(0, 1, NAME), shown(arena)) == (errno.EBADF, path)
    assert arena.name(0, 1, None) == errno.EBADF


@row("2.4", "private anonymous memory of any protection")
def test_every_protection(arena: Arena) -> None:
    for prot in range(PROT_NONE, (PROT_READ | PROT_WRITE | PROT_EXEC) + 1):
        arena.map(0, 1, prot)
        assert (prot, arena.name(0, 1, NAME), shown(arena)) == (prot, 0, b"[anon:n]")
        arena.unmap(0, 1)


@row("2.4", "MAP_GROWSDOWN, MAP_STACK and MAP_NORESERVE")
def test_flags_of_mmap(arena: Arena) -> None:
    for flag in (MAP_GROWSDOWN, MAP_STACK, MAP_NORESERVE):
        arena.map(0, 1, flags=ANONYMOUS | flag)
        assert (flag, arena.name(0, 1, NAME), shown(arena)) == (flag, 0, b"[anon:n]")
        arena.unmap(0, 1)


@row("2.4", ".bss")
def test_bss() -> None:
    """The interpreter's, or a library's: anonymous, next to its written data."""
    lines = itertools.pairwise(parse_maps(read_maps()))
    bss = [
        after for data, after in lines
        if data.inode and data.perms == "rw-p" and data.end == after.start
        and after.perms == "rw-p" and not after.pathname
    ]  # fmt: skip
    assert bss

    def do() -> list[tuple[int, bytes]]:
        told = []
        for e in bss:
            answer = name_at(e.start, e.end - e.start, b"my .bss")
            after = {x.start: x.pathname for x in parse_maps(read_maps())}
            told.append((answer, after[e.start]))
        return told

    assert set(told_by_child(do)) == {(0, b"[anon:my .bss]")}


@row("2.4", "MAP_SHARED|MAP_ANONYMOUS")
def test_shared_anonymous(arena: Arena, anon_shmem: bool) -> None:
    arena.map(0, 1, flags=MAP_SHARED | MAP_ANONYMOUS)
    assert shown(arena) == b"/dev/zero (deleted)"
    assert_as_anon_shmem(arena, nameable=anon_shmem)


@row("2.4", "/dev/zero shared")
def test_dev_zero_shared(arena: Arena, anon_shmem: bool) -> None:
    with open("/dev/zero", "r+b", buffering=0) as zero:
        arena.map(0, 1, flags=MAP_SHARED, fd=zero.fileno())
    assert shown(arena) == b"/dev/zero (deleted)"
    assert_as_anon_shmem(arena, nameable=anon_shmem)


@row("2.4", "/dev/zero private")
def test_dev_zero_private(arena: Arena) -> None:
    with open("/dev/zero", "r+b", buffering=0) as zero:
        arena.map(0, 1, flags=MAP_PRIVATE, fd=zero.fileno())
    assert_as_a_file(arena, b"/dev/zero")
    arena.touch(0, 1)
    assert_as_a_file(arena, b"/dev/zero")


def map_memfd(arena: Arena, flags: int) -> None:
    fd = os.memfd_create("mine")
    os.ftruncate(fd, PAGE)
    arena.map(0, 1, flags=flags, fd=fd)
    os.close(fd)
    assert shown(arena) == b"/memfd:mine (deleted)"


@row("2.4", "memfd shared")
def test_memfd_shared(arena: Arena, anon_shmem: bool) -> None:
    map_memfd(arena, MAP_SHARED)
    assert_as_anon_shmem(arena, nameable=anon_shmem)


@row("2.4", "memfd private")
def test_memfd_private(arena: Arena, anon_shmem: bool) -> None:
    map_memfd(arena, MAP_PRIVATE)
    assert_as_anon_shmem(arena, nameable=anon_shmem)
    arena.touch(0, 1)
    assert_as_anon_shmem(arena, nameable=anon_shmem)


@row("2.4", "a tmpfs file unlinked before it was mapped")
def test_tmpfs_unlinked_and_mapped(
    arena: Arena, anon_shmem: bool, tmpfs_file: Path
) -> None:
    for flags in (MAP_SHARED, MAP_PRIVATE):
        with tmpfs_file.open("w+b") as file:
            file.truncate(PAGE)
            tmpfs_file.unlink()
            arena.map(0, 1, flags=flags, fd=file.fileno())
        assert shown(arena) == os.fsencode(f"{tmpfs_file} (deleted)")
        assert_as_anon_shmem(arena, nameable=anon_shmem)
        arena.unmap(0, 1)


@row("2.4", "a tmpfs file")
def test_tmpfs(arena: Arena, tmpfs_file: Path) -> None:
    for flags in (MAP_SHARED, MAP_PRIVATE):
        with tmpfs_file.open("r+b") as file:
            arena.map(0, 1, flags=flags, fd=file.fileno())
        assert_as_a_file(arena, os.fsencode(tmpfs_file))
        arena.unmap(0, 1)


@row("2.4", "a tmpfs file unlinked after it was mapped")
def test_tmpfs_mapped_and_unlinked(arena: Arena, tmpfs_file: Path) -> None:
    with tmpfs_file.open("r+b") as file:
        arena.map(0, 1, flags=MAP_SHARED, fd=file.fileno())
    tmpfs_file.unlink()
    assert_as_a_file(arena, os.fsencode(f"{tmpfs_file} (deleted)"))


@row("2.4", "a regular file")
def test_a_regular_file(arena: Arena) -> None:
    path = os.path.realpath("/proc/self/exe")
    for flags in (MAP_SHARED, MAP_PRIVATE):
        with open(path, "rb") as file:
            arena.map(0, 1, PROT_READ, flags, fd=file.fileno())
        assert_as_a_file(arena, os.fsencode(path))
        arena.unmap(0, 1)


@row("2.4", "private pages of a file, written to")
def test_written_pages_of_a_file(arena: Arena) -> None:
    path = os.path.realpath("/proc/self/exe")
    with open(path, "rb") as file:
        arena.map(0, 1, READ_WRITE, MAP_PRIVATE, fd=file.fileno())
    arena.touch(0, 1)
    assert_as_a_file(arena, os.fsencode(path))


@row("2.4", "SysV shared memory")
def test_sysv(arena: Arena) -> None:
    if errno_of(lambda: system_call("shmctl", -1, 0, 0)) == errno.ENOSYS:
        pytest.skip("CONFIG_SYSVIPC is not built in")
    segment = system_call("shmget", 0, PAGE, 0o600)
    system_call("shmat", segment, arena.at(0), 0)
    system_call("shmctl", segment, 0, 0)
    assert_as_a_file(arena, b"/SYSV00000000 (deleted)")


@row("2.4", "MAP_HUGETLB")
def test_hugetlb() -> None:
    if not Path("/proc/sys/vm/nr_hugepages").exists():
        pytest.skip("CONFIG_HUGETLB_PAGE is not built in")
    # A range of its own: a part of it can't be unmapped.
    huge = Arena(0x23_0000_0000)
    huge.map(0, HUGE_PAGES, PROT_NONE, ANONYMOUS | MAP_NORESERVE | MAP_HUGETLB)
    try:
        assert_as_a_file(huge, b"/anon_hugepage (deleted)")
    finally:
        assert huge.unmap(0, HUGE_PAGES) == 0


@row("2.4", "[heap]")
def test_heap(arena: Arena) -> None:
    def do() -> list[object]:
        move_heap(arena.at(0))
        set_break(arena.at(3))
        whole = arena.name(0, 3, NAME), shown(arena)
        part = arena.name(1, 1, b"part"), [e.pathname for e in arena.entries()]
        # What is no heap any more shows what was hidden.
        move_heap(arena.at(50))
        return [whole, part, arena.names()]

    assert told_by_child(do) == [
        (0, b"[heap]"),
        (0, [b"[heap]"] * 3),
        [(0, 1, NAME), (1, 1, b"part"), (2, 1, NAME)],
    ]


@row("2.4", "[stack]")
def test_stack() -> None:
    def do() -> list[object]:
        stack = entry_of(b"[stack]")
        size = stack.end - stack.start
        whole = name_at(stack.start, size, NAME), entry_of(b"[stack]") == stack
        part = name_at(stack.start, PAGE, b"low"), entry_of(b"[anon:low]").start
        rest = entry_of(b"[stack]").start
        # The hidden name is what lets the two become one again.
        again = name_at(stack.start, PAGE, NAME), entry_of(b"[stack]") == stack
        return [whole, part == (0, stack.start), rest == stack.start + PAGE, again]

    assert told_by_child(do) == [(0, True), True, True, (0, True)]


@row("2.4", "[vdso] and its like, whole")
def test_vdso() -> None:
    def do() -> list[tuple[int, bool]]:
        told = []
        for e in specials():
            answer = name_at(e.start, e.end - e.start, NAME)
            told.append((answer, e in specials()))
        return told

    assert specials()
    assert set(told_by_child(do)) == {(0, True)}


@row("2.4", "a part of [vdso] and its like")
def test_a_part_of_vdso() -> None:
    long = [e for e in specials() if e.end - e.start > PAGE]
    if not long:
        pytest.skip("[vdso] and [vvar] have no two pages: User-Mode Linux")
    before = specials()
    for e in long:
        assert name_at(e.start, PAGE, NAME) == errno.EINVAL
        assert name_at(e.start + PAGE, PAGE, NAME) == errno.EINVAL
    assert specials() == before


@row("2.4", "mseal()ed memory")
def test_sealed() -> None:
    # Sealed memory is never unmapped: not in the arena that others use.
    def do() -> list[object]:
        sealed = Arena(0x22_0000_0000)
        sealed.map(0, 4)
        system_call("mseal", sealed.at(0), 4 * PAGE, 0)
        refused = sealed.protect(0, 1, PROT_READ)
        part, split = sealed.name(1, 2, NAME), sealed.names()
        return [refused, part, split, sealed.name(0, 4, NAME), sealed.names()]

    if errno_of(lambda: system_call("mseal", 0, 0, 0)) == errno.ENOSYS:
        pytest.skip("no mseal() in this kernel: Linux 6.10 and later")
    assert told_by_child(do) == [
        errno.EPERM,
        0, [(0, 1, None), (1, 2, NAME), (3, 1, None)],
        0, [(0, 4, NAME)],
    ]  # fmt: skip
