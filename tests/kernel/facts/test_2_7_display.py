"""How names are shown.

Source: fs/proc/task_mmu.c show_map_vma(), show_vma_header_prefix(), from 6.11
get_vma_name() and do_procmap_query().
"""

import ctypes
import errno
import fcntl
import struct
from functools import partial
from pathlib import Path

import pytest

from harness.linux import move_heap, query_vma, read_maps, set_break
from harness.linux.uapi import MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROCMAP_QUERY
from tests.kernel.facts.arena import (
    PAGE,
    Arena,
    entry_of,
    errno_of,
    name_at,
    told_by_child,
)
from tests.kernel.facts.rows import row

pytestmark = pytest.mark.kernel

LONGEST = b"n" * 79
COLUMN = 73


def line_at(arena: Arena, page: int) -> bytes:
    """The line of maps of the VMA that begins at a page."""
    start = b"%08x-" % arena.at(page)
    return next(x for x in read_maps().split(b"\n") if x.startswith(start))


@row("2.7", "a name begins at column 73, and nothing follows it")
def test_the_column(arena: Arena) -> None:
    arena.map(0, 1)
    for name in (b"", b"n", b" first", b"last ", LONGEST):
        assert arena.name(0, 1, name) == 0
        assert line_at(arena, 0)[COLUMN:] == b"[anon:" + name + b"]"
        assert line_at(arena, 0)[:COLUMN].rstrip(b" ").endswith(b" 00:00 0")


@row("2.7", "an unnamed line ends with a space")
def test_no_name(arena: Arena) -> None:
    arena.map(0, 1)
    line = line_at(arena, 0)
    assert line == b"%08x-%08x rw-p 00000000 00:00 0 " % (arena.at(0), arena.at(1))


@row("2.7", "names are not escaped")
def test_no_escapes(arena: Arena) -> None:
    arena.map(0, 1)
    for name in (b"a  b", b"x (deleted)", b"%s%n", b"\"'&<>"):
        assert arena.name(0, 1, name) == 0
        assert line_at(arena, 0)[COLUMN:] == b"[anon:" + name + b"]"


@row("2.7", "the longest are 86 and 92 characters")
def test_the_longest(arena: Arena, anon_shmem: bool) -> None:
    arena.map(0, 1)
    arena.map(2, 1, flags=MAP_SHARED | MAP_ANONYMOUS)
    assert arena.name(0, 1, LONGEST) == 0
    assert len(line_at(arena, 0)) == COLUMN + 86
    if anon_shmem:
        assert arena.name(2, 1, LONGEST) == 0
        assert len(line_at(arena, 2)) == COLUMN + 92


@row("2.7", "memory that ends or begins where the heap does")
def test_beside_the_heap(arena: Arena) -> None:
    """Up to 6.5 it is taken for the heap, which hides its name.

    Both ends alike: < and > in one kernel, <= and >= in the other.
    """

    def do() -> list[bytes]:
        move_heap(arena.at(1))
        set_break(arena.at(3))
        for page, name in ((0, b"before"), (3, b"after")):
            arena.map(page, 1)
            assert arena.name(page, 1, name) == 0
        return [e.pathname for e in arena.entries()]

    assert told_by_child(do) in (
        [b"[heap]"] * 3,
        [b"[anon:before]", b"[heap]", b"[anon:after]"],
    )


@row("2.7", "memory a page away from the heap")
def test_near_the_heap(arena: Arena) -> None:
    def do() -> list[bytes]:
        move_heap(arena.at(2))
        set_break(arena.at(4))
        for page in (0, 5):
            arena.map(page, 1)
            assert arena.name(page, 1, b"n") == 0
        return [e.pathname for e in arena.entries()]

    assert told_by_child(do) == [b"[anon:n]", b"[heap]", b"[anon:n]"]


@row("2.7", "[stack] is the VMA of the stack's first page only")
def test_the_lower_stack() -> None:
    def do() -> tuple[int, bool, bool]:
        stack = entry_of(b"[stack]")
        answer = name_at(stack.start, PAGE, b"low")
        low, rest = entry_of(b"[anon:low]"), entry_of(b"[stack]")
        return answer, low.start == stack.start, rest.end == stack.end

    assert told_by_child(do) == (0, True, True)


@row("2.7", "smaps has the line of maps, and no Name")
def test_smaps(arena: Arena) -> None:
    arena.map(0, 1)
    assert arena.name(0, 1, b" a name ") == 0
    smaps = Path("/proc/self/smaps").read_bytes()
    assert line_at(arena, 0) in smaps.split(b"\n")
    assert b"\nName:" not in smaps


def queried(start: int, size: int) -> tuple[int, bytes]:
    """(size told, text) of PROCMAP_QUERY with a buffer of so many bytes."""
    buffer = ctypes.create_string_buffer(size)
    query = bytearray(104)
    struct.pack_into("QQQ", query, 0, len(query), 0, start)
    struct.pack_into("IIQ", query, 80, size, 0, ctypes.addressof(buffer))
    with open("/proc/self/maps", "rb") as maps:
        fcntl.ioctl(maps.fileno(), PROCMAP_QUERY, query)
    told = struct.unpack_from("I", query, 80)[0]
    return told, buffer.raw[:told]


NO_QUERY = "no PROCMAP_QUERY in this kernel: Linux 6.11 and later"


def has_query() -> bool:
    """Whether the kernel has the ioctl."""
    return errno_of(lambda: query_vma(0, or_next=True)) != errno.ENOTTY


@row("2.7", "PROCMAP_QUERY tells the text and its size")
def test_query(arena: Arena, anon_shmem: bool) -> None:
    if not has_query():
        pytest.skip(NO_QUERY)
    arena.map(0, 1)
    arena.map(2, 1, flags=MAP_SHARED | MAP_ANONYMOUS)
    assert queried(arena.at(0), 4096) == (0, b"")
    for name in (b"", b" n ", LONGEST):
        assert (arena.name(0, 1, name), arena.name(2, 1, name)) == (0, 0)
        text = b"[anon:%s]\0" % name
        assert queried(arena.at(0), 4096) == (len(text), text)
        text = b"[anon_shmem:%s]\0" % name
        assert queried(arena.at(2), 4096) == (len(text), text)


@row("2.7", "PROCMAP_QUERY with too small a buffer: ENAMETOOLONG")
def test_query_of_too_much(arena: Arena) -> None:
    if not has_query():
        pytest.skip(NO_QUERY)
    arena.map(0, 2, flags=MAP_SHARED | MAP_ANONYMOUS)
    assert arena.name(0, 1, LONGEST) == 0
    assert queried(arena.at(0), 93)[0] == 93
    for size in (1, 50, 92):
        answer = errno_of(partial(queried, arena.at(0), size))
        assert (size, answer) == (size, errno.ENAMETOOLONG)


@row("2.7", "PROCMAP_QUERY where nothing is: ENOENT")
def test_query_of_nothing(arena: Arena) -> None:
    if not has_query():
        pytest.skip(NO_QUERY)
    arena.map(0, 1)
    assert errno_of(lambda: queried(arena.at(5), 93)) == errno.ENOENT
    assert errno_of(lambda: queried(arena.at(0), 93)) == 0


@row("2.7", "a file's path keeps its blanks, and only a newline is escaped")
def test_paths(arena: Arena) -> None:
    for name, shown in ((" a  b ", b" a  b "), ("a\nb", rb"a\012b"), ("[x]", b"[x]")):
        path = Path("/run", name)
        path.write_bytes(b"x" * PAGE)
        with path.open("r+b") as file:
            arena.map(0, 1, flags=MAP_PRIVATE, fd=file.fileno())
        assert line_at(arena, 0)[COLUMN:] == b"/run/" + shown
        arena.unmap(0, 1)
        path.unlink()
