"""vm.max_map_count, and what each call is refused with at it.

Source: __split_vma() and split_vma(), in mm/mmap.c of 6.1 and mm/vma.c of
6.12; mm/mmap.c do_mmap() and do_brk_flags(); mm/mremap.c.
"""

import errno
import os
from functools import partial

import pytest

from harness.linux import (
    lock_memory,
    move_heap,
    read_sysctl,
    remap_memory,
    set_break,
    write_sysctl,
)
from harness.linux.uapi import MREMAP_FIXED, MREMAP_MAYMOVE, PROT_NONE, PROT_READ
from tests.kernel.facts.arena import PAGE, Arena, advise, errno_of, told_by_child
from tests.kernel.facts.limit import LIMIT, room_for
from tests.kernel.facts.rows import row

pytestmark = pytest.mark.kernel

MADV_DONTFORK = 10


@row("2.8", "vm.max_map_count is 65530")
def test_the_default() -> None:
    assert read_sysctl(LIMIT) == "65530"


@row("2.8", "any process's limit, and root's to change")
def test_one_limit_for_all() -> None:
    def as_nobody() -> tuple[str, int]:
        os.setuid(65534)
        return read_sysctl(LIMIT), errno_of(lambda: write_sysctl(LIMIT, "65530"))

    with room_for(40):
        own = read_sysctl(LIMIT)
        told = told_by_child(as_nobody)
    assert told == (own, errno.EACCES)
    assert own != read_sysctl(LIMIT) == "65530"


@row("2.8", "naming a part at the limit: EAGAIN")
def test_naming_at_the_limit(arena: Arena) -> None:
    arena.map(0, 4)
    with room_for(0):
        refused = arena.name(0, 1, b"n")
    with room_for(1):
        done = arena.name(0, 1, b"n")
    assert (refused, done) == (errno.EAGAIN, 0)


@row("2.8", "mprotect of a part at the limit: ENOMEM")
def test_mprotect_at_the_limit(arena: Arena) -> None:
    arena.map(0, 4)
    with room_for(0):
        refused = arena.protect(0, 1, PROT_READ)
        whole = arena.protect(0, 4, PROT_READ)
    with room_for(1):
        done = arena.protect(0, 1, PROT_NONE)
    assert (refused, whole, done) == (errno.ENOMEM, 0, 0)


@row("2.8", "munmap of the middle at the limit: ENOMEM")
def test_munmap_at_the_limit(arena: Arena) -> None:
    arena.map(0, 4)
    with room_for(0):
        refused = arena.unmap(1, 1)
    with room_for(1):
        done = arena.unmap(1, 1)
    assert (refused, done) == (errno.ENOMEM, 0)
    assert arena.names() == [(0, 1, None), (2, 2, None)]


@row("2.8", "munmap of an edge at the limit")
def test_munmap_of_an_edge_at_the_limit(arena: Arena) -> None:
    """It leaves no more VMAs than there were: even above the limit it is done."""
    arena.map(0, 4)
    with room_for(-2):
        front, back = arena.unmap(0, 1), arena.unmap(3, 1)
    assert (front, back) == (0, 0)
    assert arena.names() == [(1, 2, None)]


@row("2.8", "mlock of a part at the limit: ENOMEM")
def test_mlock_at_the_limit(arena: Arena) -> None:
    arena.map(0, 4)
    arena.touch(0, 4)

    def lock() -> int:
        return errno_of(lambda: lock_memory(arena.at(0), PAGE))

    with room_for(0):
        refused = lock()
    with room_for(1):
        done = lock()
    assert (refused, done) == (errno.ENOMEM, 0)


@row("2.8", "madvise of a part at the limit: EAGAIN")
def test_madvise_at_the_limit(arena: Arena) -> None:
    arena.map(0, 4)
    with room_for(0):
        refused = advise(arena, 0, 1, MADV_DONTFORK)
    with room_for(1):
        done = advise(arena, 0, 1, MADV_DONTFORK)
    assert (refused, done) == (errno.EAGAIN, 0)


@row("2.8", "mmap reaches the limit plus 1")
def test_mmap_at_the_limit(arena: Arena) -> None:
    with room_for(2):
        answers = [errno_of(partial(arena.map, at, 1)) for at in range(0, 10, 2)]
    assert answers == [0, 0, 0, errno.ENOMEM, errno.ENOMEM]
    assert arena.names() == [(0, 1, None), (2, 1, None), (4, 1, None)]


@row("2.8", "mmap of what would merge is refused above the limit")
def test_mmap_does_not_try_to_merge(arena: Arena) -> None:
    arena.map(0, 1)
    with room_for(-1):
        refused = errno_of(lambda: arena.map(1, 1))
    with room_for(0):
        done = errno_of(lambda: arena.map(1, 1))
    assert (refused, done) == (errno.ENOMEM, 0)
    assert arena.names() == [(0, 2, None)]


@row("2.8", "brk reaches the limit plus 1")
def test_brk_at_the_limit(arena: Arena) -> None:
    def do() -> list[int]:
        move_heap(arena.at(0))
        answers = []
        with room_for(0):
            # Each piece is named, so that the next one is another VMA.
            for page in range(3):
                grown = errno_of(partial(set_break, arena.at(page + 1)))
                answers += [grown, arena.name(page, 1, b"%d" % page)]
        return answers

    # The second and third are not there to be named.
    assert told_by_child(do) == [0, 0] + [errno.ENOMEM] * 4


def moved_with(arena: Arena, vmas: int, flags: int) -> int:
    """What mremap of a page is refused with where there is so much room."""
    arena.clear()
    arena.map(0, 1)
    # Where FIXED is not asked for, the address is no more than a wish.
    arena.map(1, 1, PROT_READ)

    def move() -> None:
        remap_memory(arena.at(0), PAGE, 2 * PAGE, flags, new_start=arena.at(20))

    with room_for(vmas):
        answer = errno_of(move)
    return answer


@row("2.8", "mremap moves with 4 VMAs of headroom")
def test_mremap_at_the_limit(arena: Arena) -> None:
    def do() -> list[int]:
        return [moved_with(arena, vmas, MREMAP_MAYMOVE) for vmas in range(6)]

    assert told_by_child(do) == [errno.ENOMEM] * 4 + [0, 0]


@row("2.8", "mremap to a given address takes 6")
def test_mremap_fixed_at_the_limit(arena: Arena) -> None:
    def do() -> list[int]:
        flags = MREMAP_MAYMOVE | MREMAP_FIXED
        return [moved_with(arena, vmas, flags) for vmas in range(8)]

    assert told_by_child(do) == [errno.ENOMEM] * 6 + [0, 0]


@row("2.8", "map_count is the lines of maps")
def test_what_is_counted(arena: Arena) -> None:
    """Were a VMA hidden, or a line none, the limit would be met elsewhere."""
    arena.map(0, 8)
    answers = []
    for vmas in (-1, 0, 1):
        with room_for(vmas):
            answers.append(arena.protect(7, 1, PROT_READ))
    assert answers == [errno.ENOMEM, errno.ENOMEM, 0]
    assert arena.shape() == [(0, 7, "rw-p", None), (7, 1, "r--p", None)]
