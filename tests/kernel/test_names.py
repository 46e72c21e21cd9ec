"""What the kernel does with names, seen through our wrapper and our parser."""

import ctypes
import errno
import mmap
from collections.abc import Iterator

import pytest

from harness.linux import (
    anon_name_supported,
    map_memory,
    query_vma,
    read_maps,
    set_anon_name,
    unmap_memory,
)
from harness.maps import parse_maps, render_maps

pytestmark = pytest.mark.kernel

PAGE = mmap.PAGESIZE
READ_WRITE, PRIVATE_ANONYMOUS = 3, 0x22
NAMES = [
    b"", b" ", b"  two  spaces ", b"x (deleted)", b"/etc/passwd", b"<b>&'\"",
    b"n" * 79, b"%s#:;~!", b"heap", b"a\x7e",
]  # fmt: skip


@pytest.fixture
def pages() -> Iterator[int]:
    """The address of 32 pages of private anonymous memory, a hole on each side."""
    start = map_memory(0, 34 * PAGE, READ_WRITE, PRIVATE_ANONYMOUS) + PAGE
    unmap_memory(start - PAGE, PAGE)
    unmap_memory(start + 32 * PAGE, PAGE)
    yield start
    unmap_memory(start, 32 * PAGE)


def names_at(start: int) -> list[tuple[int, int, bytes | None]]:
    """(first page, pages, name) of the VMAs of ``pages``."""
    return [
        ((e.start - start) // PAGE, (e.end - e.start) // PAGE, e.anon_name)
        for e in parse_maps(read_maps())
        if start <= e.start < start + 32 * PAGE
    ]


def has_query() -> bool:
    """Whether the kernel has PROCMAP_QUERY: from 6.11 on."""
    try:
        query_vma(0, or_next=True)
    except OSError as error:
        return error.errno != errno.ENOTTY
    return True


def errno_of(start: int, length: int, name: bytes | int | None) -> int:
    """What naming is refused with; 0 where it is not."""
    try:
        set_anon_name(start, length, name)
    except OSError as error:
        return error.errno or -1
    return 0


def test_the_probe_says_so() -> None:
    assert anon_name_supported()


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_is_shown_whole_by_maps_and_by_the_ioctl(
    pages: int, name: bytes
) -> None:
    set_anon_name(pages + 3 * PAGE, 2 * PAGE, name)

    text = read_maps()
    assert render_maps(parse_maps(text)) == text
    shown = {e.start: e for e in parse_maps(text)}[pages + 3 * PAGE]
    assert (shown.anon_name, shown.end) == (name, pages + 5 * PAGE)
    if not has_query():
        return
    told = query_vma(pages + 3 * PAGE)
    assert told is not None
    assert (told.start, told.end, told.pathname) == (
        shown.start, shown.end, shown.pathname,
    )  # fmt: skip


def test_every_byte_is_taken_or_refused_as_documented(pages: int) -> None:
    """Source: is_valid_name_char(), kernel/sys.c or mm/madvise.c."""
    answers = {b: errno_of(pages, PAGE, bytes([b])) for b in range(1, 256)}

    good = set(range(0x20, 0x7F)) - set(b"\\`$[]")
    assert answers == {b: 0 if b in good else errno.EINVAL for b in answers}


@pytest.mark.parametrize(
    ("offset", "length", "name", "code"),
    [
        (0, PAGE, b"n" * 80, errno.EINVAL),
        (0, PAGE, 16, errno.EFAULT),
        (1, PAGE, b"n", errno.EINVAL),
        (0, 2**64 - 1, b"n", errno.EINVAL),
        (-1, PAGE, b"n", errno.ENOMEM),
    ],
    ids=["too long", "bad pointer", "unaligned", "length wraps", "unmapped"],
)
def test_what_is_refused_is_refused_with_its_errno(
    pages: int, offset: int, length: int, name: bytes | int, code: int
) -> None:
    start = pages + offset if offset >= 0 else PAGE

    assert errno_of(start, length, name) == code


def test_a_name_splits_merges_and_clears(pages: int) -> None:
    set_anon_name(pages, 32 * PAGE, b"all")
    set_anon_name(pages + 10 * PAGE, 2 * PAGE, b"some")
    split = names_at(pages)
    set_anon_name(pages + 10 * PAGE, 2 * PAGE, b"all")
    merged = names_at(pages)
    set_anon_name(pages, 32 * PAGE, None)

    assert split == [(0, 10, b"all"), (10, 2, b"some"), (12, 20, b"all")]
    assert merged == [(0, 32, b"all")]
    assert {name for _, _, name in names_at(pages)} == {None}


def test_a_hole_is_enomem_and_what_is_mapped_is_named(pages: int) -> None:
    unmap_memory(pages + 5 * PAGE, PAGE)

    assert errno_of(pages, 10 * PAGE, b"n") == errno.ENOMEM
    assert names_at(pages)[:2] == [(0, 5, b"n"), (6, 4, b"n")]


def test_private_memory_of_a_file_is_ebadf() -> None:
    with open("/proc/self/exe", "rb") as file:
        mapped = mmap.mmap(file.fileno(), PAGE, prot=mmap.PROT_READ,
                           flags=mmap.MAP_PRIVATE)  # fmt: skip
    at = next(
        e.start for e in parse_maps(read_maps()) if e.inode and e.perms.endswith("p")
    )
    answer = errno_of(at, PAGE, b"n")
    mapped.close()

    assert answer == errno.EBADF


def test_what_is_passed_is_passed_through(pages: int) -> None:
    """The name's bytes are the caller's: nothing is added, copied or checked."""
    text = ctypes.create_string_buffer(b"mine")

    set_anon_name(pages, PAGE, ctypes.addressof(text))

    assert names_at(pages)[0] == (0, 1, b"mine")
