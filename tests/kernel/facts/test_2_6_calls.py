"""What other calls on memory do to names."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from harness.linux import (
    lock_memory,
    map_memory,
    move_heap,
    remap_memory,
    set_break,
    unlock_memory,
)
from harness.linux.uapi import (
    MAP_FIXED,
    MREMAP_DONTUNMAP,
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
    told_by_child,
)
from tests.kernel.facts.rows import row

pytestmark = pytest.mark.kernel

MADV_DONTNEED, MADV_FREE = 4, 8
MADV_DONTFORK, MADV_DOFORK = 10, 11
MADV_DONTDUMP, MADV_DODUMP = 16, 17
MADV_WIPEONFORK = 18
N = b"n"


@pytest.fixture
def named(arena: Arena) -> Arena:
    """Pages 0 to 3, one VMA, named."""
    arena.map(0, 4)
    assert arena.name(0, 4, N) == 0
    return arena


def assert_splits_and_joins(
    arena: Arena, put: Callable[[], int], take: Callable[[], int]
) -> None:
    """Pages 1 and 2 split off with the name, and come back."""
    assert put() == 0
    assert arena.names() == [(0, 1, N), (1, 2, N), (3, 1, N)]
    assert take() == 0
    assert arena.names() == [(0, 4, N)]


@row("2.6", "mprotect of a part")
def test_mprotect(named: Arena) -> None:
    assert_splits_and_joins(
        named,
        lambda: named.protect(1, 2, PROT_READ),
        lambda: named.protect(1, 2, READ_WRITE),
    )


@row("2.6", "mlock of a part")
def test_mlock(named: Arena) -> None:
    def lock() -> int:
        lock_memory(named.at(1), 2 * PAGE)
        return 0

    def unlock() -> int:
        unlock_memory(named.at(1), 2 * PAGE)
        return 0

    # What is locked is touched; all four, so that they may come together.
    named.touch(0, 4)
    assert_splits_and_joins(named, lock, unlock)


@row("2.6", "madvise of a part")
def test_madvise(named: Arena) -> None:
    for put, take in ((MADV_DONTFORK, MADV_DOFORK), (MADV_DONTDUMP, MADV_DODUMP)):
        assert_splits_and_joins(
            named,
            partial(advise, named, 1, 2, put),
            partial(advise, named, 1, 2, take),
        )


@row("2.6", "munmap of the middle")
def test_munmap(named: Arena) -> None:
    assert named.unmap(1, 2) == 0
    assert named.names() == [(0, 1, N), (3, 1, N)]


@row("2.6", "mmap beside a named VMA")
def test_mmap_beside_a_name(named: Arena) -> None:
    named.map(4, 2)
    named.map(-2, 2)
    assert named.names() == [(-2, 2, None), (0, 4, N), (4, 2, None)]


@row("2.6", "mmap beside an unnamed VMA")
def test_mmap_beside_no_name(arena: Arena) -> None:
    arena.map(0, 2)
    arena.map(4, 2)
    arena.map(2, 2)
    assert arena.names() == [(0, 6, None)]


@row("2.6", "MAP_FIXED over a named VMA")
def test_mmap_over_a_name(named: Arena) -> None:
    map_memory(named.at(1), 2 * PAGE, READ_WRITE, ANONYMOUS | MAP_FIXED)
    assert named.names() == [(0, 1, N), (1, 2, None), (3, 1, N)]


def heap_after(arena: Arena, name: bytes | None) -> list[tuple[int, int, bytes]]:
    """A heap of two pages, named, and what it is when grown by two."""

    def do() -> list[tuple[int, int, bytes]]:
        move_heap(arena.at(0))
        set_break(arena.at(2))
        assert arena.name(0, 2, name) == 0
        set_break(arena.at(4))
        return [
            ((e.start - arena.base) // PAGE, (e.end - e.start) // PAGE, e.pathname)
            for e in arena.entries()
        ]

    return told_by_child(do)


@row("2.6", "brk beyond a named heap")
def test_brk_beyond_a_name(arena: Arena) -> None:
    assert heap_after(arena, N) == [(0, 2, b"[heap]"), (2, 2, b"[heap]")]


@row("2.6", "brk beyond an unnamed heap")
def test_brk_beyond_no_name(arena: Arena) -> None:
    assert heap_after(arena, None) == [(0, 4, b"[heap]")]


@row("2.6", "mremap moves")
@pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched"])
def test_mremap_moves(named: Arena, touched: bool) -> None:
    if touched:
        named.touch(0, 4)
    remap_memory(
        named.at(1), 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
        new_start=named.at(20),
    )  # fmt: skip
    assert named.names() == [(0, 1, N), (3, 1, N), (20, 2, N)]


@row("2.6", "mremap grows in place")
def test_mremap_grows(named: Arena) -> None:
    assert remap_memory(named.at(0), 4 * PAGE, 7 * PAGE, 0) == named.at(0)
    assert named.names() == [(0, 7, N)]


@row("2.6", "mremap shrinks")
def test_mremap_shrinks(named: Arena) -> None:
    assert remap_memory(named.at(0), 4 * PAGE, PAGE, 0) == named.at(0)
    assert named.names() == [(0, 1, N)]


@row("2.6", "MREMAP_DONTUNMAP")
@pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched"])
def test_mremap_leaves_the_source(named: Arena, touched: bool) -> None:
    if touched:
        named.touch(0, 4)
    flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP
    remap_memory(
        named.at(0), 4 * PAGE, 4 * PAGE, flags, new_start=named.at(20)
    )  # fmt: skip
    assert named.names() == [(0, 4, N), (20, 4, N)]


@row("2.6", "MADV_DONTNEED and MADV_FREE")
def test_advice_on_contents(named: Arena) -> None:
    named.touch(0, 4)
    for advice in (MADV_DONTNEED, MADV_FREE):
        assert advise(named, 1, 2, advice) == 0
        assert named.names() == [(0, 4, N)]


@row("2.6", "MADV_DONTFORK")
def test_dontfork(named: Arena) -> None:
    assert advise(named, 1, 2, MADV_DONTFORK) == 0
    assert told_by_child(named.names) == [(0, 1, N), (3, 1, N)]


@row("2.6", "MADV_WIPEONFORK")
def test_wipeonfork(named: Arena) -> None:
    def do() -> tuple[list[tuple[int, int, bytes | None]], bytes]:
        return named.names(), named.contents(0, 4)[::PAGE]

    named.fill(0, 4)
    assert advise(named, 1, 2, MADV_WIPEONFORK) == 0
    split = [(0, 1, N), (1, 2, N), (3, 1, N)]
    assert told_by_child(do) == (split, b"x\0\0x")
    assert do() == (split, b"xxxx")


@row("2.6", "fork")
def test_fork(arena: Arena) -> None:
    names = [b"", b"a", b" b ", b"c" * 79]
    for page, name in enumerate(names):
        arena.map(page, 1, PROT_NONE if page % 2 else READ_WRITE)
        assert arena.name(page, 1, name) == 0
    arena.touch(0, 1)

    def grandchild() -> list[tuple[int, int, str, bytes | None]]:
        return told_by_child(arena.shape)

    assert told_by_child(arena.shape) == told_by_child(grandchild) == arena.shape()
    assert [name for _, _, name in arena.names()] == names


@row("2.6", "renaming in a child")
def test_a_child_renames(named: Arena) -> None:
    def do() -> list[tuple[int, int, bytes | None]]:
        assert (named.name(0, 2, b"child"), named.name(3, 1, None)) == (0, 0)
        return named.names()

    assert told_by_child(do) == [(0, 2, b"child"), (2, 1, N), (3, 1, None)]
    assert named.names() == [(0, 4, N)]


@row("2.6", "execve")
def test_execve(named: Arena) -> None:
    """A program that prints its maps: nothing is left of the names before it."""
    own = b"this is to be gone"
    assert named.name(0, 4, own) == 0
    assert named.names() == [(0, 4, own)]
    shown = subprocess.run(
        [sys.executable, "-S", "-c", "print(open('/proc/self/maps').read())"],
        check=True, capture_output=True, timeout=60,
    ).stdout  # fmt: skip
    assert b"[stack]" in shown
    assert b"%x-" % named.at(0) not in shown
    assert own not in shown
    assert b"[anon" not in shown


@row("2.6", "smaps shows it, smaps_rollup does not")
def test_smaps(named: Arena) -> None:
    own = b"a name to look for"
    assert named.name(0, 4, own) == 0
    for file, shown in (("smaps", True), ("smaps_rollup", False)):
        with open(f"/proc/self/{file}", "rb") as text:
            assert (own in text.read()) is shown


@row("2.6", "numa_maps does not show it")
def test_numa_maps(named: Arena) -> None:
    path = Path("/proc/self/numa_maps")
    if not path.exists():
        pytest.skip("CONFIG_NUMA is not built in")
    own = b"a name to look for"
    named.touch(0, 4)
    assert named.name(0, 4, own) == 0
    text = path.read_bytes()
    assert b"%08x" % named.at(0) in text
    assert own not in text
