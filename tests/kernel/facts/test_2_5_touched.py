"""When neighbours become one VMA: what memory that was touched adds.

Touched memory has an anon_vma. Two VMAs merge if theirs is the same, or if one
has none and the other's chain is a single entry; which of the two may be
which, and when both sides would do, is what these rows are about.
Source: is_mergeable_anon_vma(), in mm/mmap.c of 6.1 and mm/vma.c of 6.12.
"""

import pytest

from harness.linux import remap_memory
from harness.linux.uapi import MREMAP_FIXED, MREMAP_MAYMOVE
from tests.kernel.facts.arena import PAGE, Arena, told_by_child
from tests.kernel.facts.rows import row

pytestmark = pytest.mark.kernel


def move(arena: Arena, page: int, to: int) -> None:
    """mremap a page to where nothing is."""
    remap_memory(
        arena.at(page), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
        new_start=arena.at(to),
    )  # fmt: skip


@row("2.5", "touched memory moved elsewhere does not merge there")
def test_touched_memory_that_moves(arena: Arena) -> None:
    #  aaa -> a.a -> aa, the second a two pages further in its object.
    arena.map(0, 3)
    assert arena.name(0, 3, b"n") == 0
    arena.touch(0, 3)
    assert arena.unmap(1, 1) == 0
    move(arena, 2, 1)
    assert arena.names() == [(0, 1, b"n"), (1, 1, b"n")]
    assert (arena.name(0, 2, b"m"), len(arena.names())) == (0, 2)


@row("2.5", "touched memory moved back merges")
def test_touched_memory_that_comes_back(arena: Arena) -> None:
    arena.map(0, 3)
    assert arena.name(0, 3, b"n") == 0
    arena.touch(0, 3)
    move(arena, 1, 20)
    assert arena.names() == [(0, 1, b"n"), (2, 1, b"n"), (20, 1, b"n")]
    move(arena, 20, 1)
    assert arena.names() == [(0, 3, b"n")]


@row("2.5", "a touched range and its untouched neighbours")
def test_a_touched_range_stays_apart(arena: Arena) -> None:
    arena.map(0, 3)
    assert (arena.name(0, 3, b"n"), arena.name(1, 1, b"m")) == (0, 0)
    arena.touch(1, 1)
    assert arena.name(1, 1, b"n") == 0
    # Linux 6.16 and later merge these.
    assert arena.names() == [(0, 1, b"n"), (1, 1, b"n"), (2, 1, b"n")]


@row("2.5", "an untouched range and its touched neighbour")
def test_an_untouched_range_joins(arena: Arena) -> None:
    #  (VMAs, the one touched, the one named)
    for pages, touched, named in ((2, 0, 1), (2, 1, 0), (3, 0, 1), (3, 2, 1)):
        arena.map(0, pages)
        assert (arena.name(0, pages, b"n"), arena.name(named, 1, b"m")) == (0, 0)
        arena.touch(touched, 1)
        assert len(arena.names()) == pages
        assert arena.name(named, 1, b"n") == 0
        assert arena.names() == [(0, pages, b"n")]
        arena.unmap(0, pages)


@row("2.5", "VMAs touched one after the other share an anon_vma")
def test_neighbours_touched_in_turn(arena: Arena) -> None:
    """mm/mmap.c, mm/vma.c find_mergeable_anon_vma(): names do not matter."""
    arena.map(0, 3)
    for page in range(3):
        assert arena.name(page, 1, b"%d" % page) == 0
        arena.touch(page, 1)
    assert len(arena.names()) == 3
    assert arena.name(0, 3, b"n") == 0
    assert arena.names() == [(0, 3, b"n")]


@row("2.5", "touched memory from before a fork does not merge")
def test_touched_memory_in_a_child(arena: Arena) -> None:
    def do() -> tuple[int, list[tuple[int, int, bytes | None]]]:
        return arena.name(0, 2, b"n"), arena.names()

    arena.map(0, 2)
    assert arena.name(1, 1, b"1") == 0
    # Apart, so that each has an anon_vma of its own.
    arena.touch(0, 1)
    arena.touch(1, 1)
    assert told_by_child(do) == (0, [(0, 1, b"n"), (1, 1, b"n")])
    assert arena.names() == [(0, 1, None), (1, 1, b"1")]


@row("2.5", "untouched memory from before a fork merges")
def test_untouched_memory_in_a_child(arena: Arena) -> None:
    def do() -> tuple[int, list[tuple[int, int, bytes | None]]]:
        return arena.name(0, 2, b"n"), arena.names()

    arena.map(0, 2)
    assert arena.name(1, 1, b"1") == 0
    assert told_by_child(do) == (0, [(0, 2, b"n")])
    assert arena.names() == [(0, 1, None), (1, 1, b"1")]


@row("2.5", "two touched neighbours: one of them is joined")
def test_two_touched_neighbours(arena: Arena) -> None:
    arena.map(0, 3)
    assert (arena.name(0, 3, b"n"), arena.name(1, 1, b"m")) == (0, 0)
    # The one between them has none to share.
    arena.touch(0, 1)
    arena.touch(2, 1)
    assert arena.name(1, 1, b"n") == 0
    # 6.1 joins the one after, 6.12 the one before.
    assert arena.names() in (
        [(0, 2, b"n"), (2, 1, b"n")], [(0, 1, b"n"), (1, 2, b"n")],
    )  # fmt: skip
