"""The walk over the VMAs of a range.

Source: mm/madvise.c madvise_walk_vmas(), madvise_vma_anon_name(),
madvise_update_vma().
"""

import errno

import pytest

from harness.linux import read_maps
from harness.linux.uapi import MAP_PRIVATE, PROT_READ
from harness.maps import parse_maps
from tests.kernel.facts.arena import PAGE, Arena, name_at, told_by_child
from tests.kernel.facts.limit import room_for
from tests.kernel.facts.rows import row

pytestmark = pytest.mark.kernel


def map_file(arena: Arena, page: int) -> None:
    """A page of a file."""
    with open("/proc/self/exe", "rb") as file:
        arena.map(page, 1, PROT_READ, MAP_PRIVATE, fd=file.fileno())


@row("2.2", "ENOMEM for a range entirely unmapped")
def test_nothing_mapped(arena: Arena) -> None:
    arena.map(0, 2)
    arena.map(6, 2)
    assert arena.name(2, 4, b"n") == errno.ENOMEM
    assert arena.name(3, 1, b"n") == errno.ENOMEM
    assert arena.names() == [(0, 2, None), (6, 2, None)]


@row("2.2", "ENOMEM above all VMAs")
def test_above_everything() -> None:
    # [vsyscall] is shown, but is no VMA.
    last = max(e.end for e in parse_maps(read_maps()) if e.end < 2**63)
    assert name_at(last, PAGE, b"n") == errno.ENOMEM
    assert name_at(last + 16 * PAGE, 4 * PAGE, b"n") == errno.ENOMEM


@row("2.2", "ENOMEM for the page of [vsyscall]")
def test_where_x86_has_its_vsyscalls() -> None:
    assert name_at(0xFFFF_FFFF_FF60_0000, PAGE, b"n") == errno.ENOMEM


@row("2.2", "ENOMEM for a non-canonical address")
def test_an_address_that_no_machine_has() -> None:
    for start in (1 << 62, 0xBAD0 << 48, 2**63):
        assert name_at(start, PAGE, b"n") == errno.ENOMEM


@row("2.2", "a hole at the start")
def test_a_hole_at_the_start(arena: Arena) -> None:
    arena.map(2, 3)
    assert arena.name(0, 4, b"n") == errno.ENOMEM
    assert arena.names() == [(2, 2, b"n"), (4, 1, None)]


@row("2.2", "a hole in the middle")
def test_a_hole_in_the_middle(arena: Arena) -> None:
    arena.map(0, 3)
    arena.map(4, 3)
    assert arena.name(1, 5, b"n") == errno.ENOMEM
    assert arena.names() == [(0, 1, None), (1, 2, b"n"), (4, 2, b"n"), (6, 1, None)]


@row("2.2", "a hole at the end")
def test_a_hole_at_the_end(arena: Arena) -> None:
    arena.map(0, 3)
    arena.map(6, 1)
    assert arena.name(1, 3, b"n") == errno.ENOMEM
    assert arena.names() == [(0, 1, None), (1, 2, b"n"), (6, 1, None)]


@row("2.2", "several holes")
def test_holes_everywhere(arena: Arena) -> None:
    for page in (1, 3, 5):
        arena.map(page, 1)
    assert arena.name(0, 8, b"n") == errno.ENOMEM
    assert arena.names() == [(1, 1, b"n"), (3, 1, b"n"), (5, 1, b"n")]


@row("2.2", "EBADF at a file: VMAs before it are named")
def test_a_file_ends_the_walk(arena: Arena) -> None:
    arena.map(0, 2)
    map_file(arena, 2)
    arena.map(3, 2)
    assert arena.name(1, 3, b"n") == errno.EBADF
    assert arena.names() == [(0, 1, None), (1, 1, b"n"), (2, 1, None), (3, 2, None)]
    assert arena.name(2, 3, b"n") == errno.EBADF
    assert arena.names()[-1] == (3, 2, None)


@row("2.2", "EBADF beats a hole before it")
def test_a_file_after_a_hole(arena: Arena) -> None:
    arena.map(1, 1)
    map_file(arena, 3)
    arena.map(4, 1)
    assert arena.name(0, 5, b"n") == errno.EBADF
    assert arena.names() == [(1, 1, b"n"), (3, 1, None), (4, 1, None)]
    assert arena.name(2, 2, b"n") == errno.EBADF


@row("2.2", "EAGAIN where the limit forbids the front split")
def test_no_room_for_a_front_split(arena: Arena) -> None:
    arena.map(0, 3)
    with room_for(0):
        middle, tail = arena.name(1, 1, b"n"), arena.name(1, 2, b"n")
    assert (middle, tail) == (errno.EAGAIN, errno.EAGAIN)
    assert arena.names() == [(0, 3, None)]


@row("2.2", "EAGAIN where the limit forbids the tail split: the front split stays")
def test_no_room_for_a_tail_split(arena: Arena) -> None:
    arena.map(0, 3)
    with room_for(0):
        head = arena.name(0, 1, b"n")
    assert (head, arena.names()) == (errno.EAGAIN, [(0, 3, None)])
    with room_for(1):
        middle = arena.name(1, 1, b"n")
    assert (middle, arena.names()) == (errno.EAGAIN, [(0, 1, None), (1, 2, None)])


@row("2.2", "EAGAIN: VMAs before the refused one stay named")
def test_no_room_after_some_were_named(arena: Arena) -> None:
    arena.map(0, 2)
    arena.map(3, 2)
    arena.map(6, 2)
    with room_for(0):
        answer = arena.name(0, 7, b"n")
    # EAGAIN, not the ENOMEM of the hole.
    assert answer == errno.EAGAIN
    assert arena.names() == [(0, 2, b"n"), (3, 2, b"n"), (6, 2, None)]


@row("2.2", "EINVAL for a part of a mapping that may not be split")
def test_a_part_of_what_may_not_be_split(arena: Arena) -> None:
    specials = [
        e for e in parse_maps(read_maps())
        if e.pathname.startswith((b"[vdso", b"[vvar")) and e.end - e.start > PAGE
    ]  # fmt: skip
    if not specials:
        pytest.skip("[vdso] and [vvar] have no two pages: User-Mode Linux")

    def do() -> list[int]:
        return [
            name_at(start, PAGE, b"n")
            for e in specials
            for start in (e.start, e.end - PAGE)
        ]

    assert set(told_by_child(do)) == {errno.EINVAL}


@row("2.2", "NULL clears")
def test_null_clears(arena: Arena) -> None:
    arena.map(0, 4)
    assert arena.name(0, 4, b"n") == 0
    assert arena.name(1, 2, None) == 0
    assert arena.names() == [(0, 1, b"n"), (1, 2, None), (3, 1, b"n")]
    assert arena.name(0, 4, None) == 0
    assert arena.names() == [(0, 4, None)]


@row("2.2", "NULL: EBADF at a file")
def test_null_at_a_file(arena: Arena) -> None:
    arena.map(0, 1)
    map_file(arena, 1)
    arena.map(2, 1)
    assert (arena.name(0, 1, b"n"), arena.name(2, 1, b"n")) == (0, 0)
    assert arena.name(0, 3, None) == errno.EBADF
    assert arena.names() == [(0, 1, None), (1, 1, None), (2, 1, b"n")]


@row("2.2", "NULL: ENOMEM for a hole")
def test_null_at_a_hole(arena: Arena) -> None:
    arena.map(0, 1)
    arena.map(2, 1)
    assert (arena.name(0, 1, b"n"), arena.name(2, 1, b"n")) == (0, 0)
    assert arena.name(0, 3, None) == errno.ENOMEM
    assert arena.names() == [(0, 1, None), (2, 1, None)]


@row("2.2", "NULL on unnamed memory is 0")
def test_null_where_there_is_no_name(arena: Arena) -> None:
    arena.map(0, 3)
    assert (arena.name(0, 3, None), arena.name(1, 1, None)) == (0, 0)
    assert arena.names() == [(0, 3, None)]


@row("2.2", "the name that is there already: nothing happens")
def test_the_same_name_again(arena: Arena) -> None:
    arena.map(0, 3)
    for _ in range(2):
        assert arena.name(0, 3, b"same") == 0
    assert arena.name(1, 1, b"same") == 0
    assert arena.names() == [(0, 3, b"same")]


@row("2.2", "the name that is there already is 0 at the limit")
def test_the_same_name_again_needs_no_split(arena: Arena) -> None:
    arena.map(0, 3)
    assert arena.name(0, 3, b"same") == 0
    with room_for(0):
        same, other = arena.name(1, 1, b"same"), arena.name(0, 1, b"other")
    assert (same, other) == (0, errno.EAGAIN)


@row("2.2", "one call merges all that it names alike")
def test_one_call_over_many_names(arena: Arena) -> None:
    arena.map(0, 6)
    for page in range(6):
        assert arena.name(page, 1, b"%d" % page) == 0
    assert len(arena.names()) == 6
    assert arena.name(1, 4, b"n") == 0
    assert arena.names() == [(0, 1, b"0"), (1, 4, b"n"), (5, 1, b"5")]


@row("2.2", "merges with the VMA before")
def test_joins_the_one_before(arena: Arena) -> None:
    #  aabb -> aaab
    arena.map(0, 4)
    assert (arena.name(0, 2, b"a"), arena.name(2, 2, b"b")) == (0, 0)
    assert arena.name(2, 1, b"a") == 0
    assert arena.names() == [(0, 3, b"a"), (3, 1, b"b")]


@row("2.2", "merges with the VMA after")
def test_joins_the_one_after(arena: Arena) -> None:
    #  aabb -> abbb
    arena.map(0, 4)
    assert (arena.name(0, 2, b"a"), arena.name(2, 2, b"b")) == (0, 0)
    assert arena.name(1, 1, b"b") == 0
    assert arena.names() == [(0, 1, b"a"), (1, 3, b"b")]


@row("2.2", "merges with both")
def test_joins_both(arena: Arena) -> None:
    #  aabbaa -> aaaaaa
    arena.map(0, 6)
    assert (arena.name(0, 6, b"a"), arena.name(2, 2, b"b")) == (0, 0)
    assert len(arena.names()) == 3
    assert arena.name(2, 2, b"a") == 0
    assert arena.names() == [(0, 6, b"a")]


@row("2.2", "splits in front, behind, and both")
def test_splits(arena: Arena) -> None:
    for first, pages, left in ((0, 3, []), (10, 4, [10]), (20, 5, [20, 24])):
        arena.map(first, pages)
        start = first + (first in left)
        assert arena.name(start, 3, b"n") == 0
    assert arena.names() == [
        (0, 3, b"n"),
        (10, 1, None), (11, 3, b"n"),
        (20, 1, None), (21, 3, b"n"), (24, 1, None),
    ]  # fmt: skip
    arena.map(30, 4)
    assert arena.name(30, 3, b"n") == 0
    assert arena.names()[-2:] == [(30, 3, b"n"), (33, 1, None)]


@row("2.2", "a merge needs no room below the limit")
def test_merging_at_the_limit(arena: Arena) -> None:
    arena.map(0, 6)
    assert (arena.name(0, 2, b"a"), arena.name(4, 2, b"c")) == (0, 0)
    with room_for(0):
        split = arena.name(0, 1, b"b")
        before, after = arena.name(2, 1, b"a"), arena.name(3, 1, b"c")
    assert (split, before, after) == (errno.EAGAIN, 0, 0)
    assert arena.names() == [(0, 3, b"a"), (3, 3, b"c")]
