"""The call and the order of its checks.

Source: kernel/sys.c prctl(), prctl_set_vma(); mm/util.c strndup_user();
mm/madvise.c madvise_set_anon_name().
"""

import ctypes
import errno
import os
from pathlib import Path

import pytest

from harness.linux.uapi import MAP_PRIVATE, PR_SET_VMA, PR_SET_VMA_ANON_NAME, PROT_READ
from tests.kernel.facts.arena import (
    PAGE,
    Arena,
    entry_of,
    errno_of,
    name_at,
    system_call,
    told_by_child,
)
from tests.kernel.facts.rows import row

pytestmark = pytest.mark.kernel

BAD_POINTER = 16
BAD_BYTE = b"a$b"
TOO_LONG = b"n" * 80


def raw_prctl(option: int, attr: int, start: int, size: int, name: bytes) -> int:
    """prctl(2) with every argument a whole register."""
    text = ctypes.create_string_buffer(name)
    place = ctypes.addressof(text)
    return errno_of(lambda: system_call("prctl", option, attr, start, size, place))


TEXTS = 100


def at_the_end(arena: Arena, name: bytes) -> int:
    """The address of a name that ends where its page does, and memory with it."""
    arena.unmap(TEXTS, 1)
    arena.map(TEXTS, 1)
    place = arena.at(TEXTS + 1) - len(name)
    ctypes.memmove(place, name, len(name))
    return place


@row("2.1", "option is cut to an int")
def test_the_upper_half_of_option_is_ignored(arena: Arena) -> None:
    arena.map(0, 1)
    assert raw_prctl(0xABCD_0000_0000 | PR_SET_VMA, 0, arena.at(0), PAGE, b"n") == 0
    assert arena.names() == [(0, 1, b"n")]


@row("2.1", "attr is a whole long")
def test_the_upper_half_of_attr_is_not_ignored(arena: Arena) -> None:
    arena.map(0, 1)
    answer = raw_prctl(PR_SET_VMA, 1 << 32, arena.at(0), PAGE, b"n")
    assert answer == errno.EINVAL
    assert arena.names() == [(0, 1, None)]


@row("2.1", "EINVAL for an attr other than 0")
def test_an_unknown_attr_is_refused(arena: Arena) -> None:
    arena.map(0, 1)
    for attr in (1, 2, 2**63, 2**64 - 1):
        answer = raw_prctl(PR_SET_VMA, attr, arena.at(0), PAGE, b"n")
        assert (attr, answer) == (attr, errno.EINVAL)
    assert raw_prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, arena.at(0), PAGE, b"n") == 0


@row("2.1", "EFAULT for a name unreadable before its NUL")
def test_an_unterminated_name_at_the_end_of_memory_faults(arena: Arena) -> None:
    arena.map(0, 1)
    for length in (1, 2, 40, 78, 79):
        answer = arena.name(0, 1, at_the_end(arena, b"n" * length))
        assert (length, answer) == (length, errno.EFAULT)
    assert arena.name(0, 1, BAD_POINTER) == errno.EFAULT
    assert arena.name(0, 1, at_the_end(arena, b"n" * 79 + b"\0")) == 0


@row("2.1", "EFAULT for a name pointer outside user space")
def test_a_pointer_that_no_program_has_faults(arena: Arena) -> None:
    arena.map(0, 1)
    # On uml strnlen_user() answers -EFAULT, which strndup_user() takes for a
    # length: arch/um/kernel/skas/uaccess.c, mm/util.c.
    uml = "User Mode Linux" in Path("/proc/cpuinfo").read_text()
    for pointer in (2**63, 2**64 - PAGE):
        answer = arena.name(0, 1, pointer)
        assert answer == (errno.ENOMEM if uml else errno.EFAULT), hex(pointer)


@row("2.1", "EINVAL for 80 readable bytes, the 81st unmapped")
def test_eighty_bytes_are_too_many_and_the_next_is_not_read(arena: Arena) -> None:
    arena.map(0, 1)
    for length in (80, 81, 200):
        answer = arena.name(0, 1, at_the_end(arena, b"n" * length))
        assert (length, answer) == (length, errno.EINVAL)
    assert arena.name(0, 1, at_the_end(arena, b"n" * 80 + b"\0")) == errno.EINVAL


@row("2.1", "EINVAL for a byte that is not allowed")
def test_a_bad_byte_is_refused_and_nothing_is_named(arena: Arena) -> None:
    arena.map(0, 1)
    assert arena.name(0, 1, b"was") == 0
    for name in (b"badname\1", b"[x]", b"a`b", b"\\", b"$", b"\x7f", b"\xff"):
        assert arena.name(0, 1, name) == errno.EINVAL
    assert arena.names() == [(0, 1, b"was")]


@row("2.1", "EINVAL for an address inside a page")
def test_an_address_must_be_a_page(arena: Arena) -> None:
    arena.map(0, 2)
    for offset in (1, 8, PAGE - 1):
        assert name_at(arena.at(0) + offset, PAGE, b"n") == errno.EINVAL
    assert arena.names() == [(0, 2, None)]


@row("2.1", "size is rounded up to whole pages")
def test_a_size_of_a_byte_more_is_a_page_more(arena: Arena) -> None:
    arena.map(0, 4)
    assert name_at(arena.at(0), 1, b"one") == 0
    assert name_at(arena.at(1), PAGE + 1, b"two") == 0
    assert arena.names() == [(0, 1, b"one"), (1, 2, b"two"), (3, 1, None)]


@row("2.1", "EINVAL for a size that rounds up to 0")
def test_a_size_too_large_to_round_is_refused(arena: Arena) -> None:
    arena.map(0, 1)
    for size in (2**64 - 1, 2**64 - PAGE + 1):
        assert name_at(arena.at(0), size, b"n") == errno.EINVAL
        assert name_at(0, size, b"n") == errno.EINVAL
    assert arena.names() == [(0, 1, None)]


@row("2.1", "EINVAL for a range that wraps")
def test_a_range_that_wraps_is_refused(arena: Arena) -> None:
    arena.map(0, 1)
    for size in (2**64 - PAGE, 2**64 - arena.at(0) + PAGE):
        assert name_at(arena.at(0), size, b"n") == errno.EINVAL
    assert arena.names() == [(0, 1, None)]


@row("2.1", "EINVAL for a range that ends at 2^64")
def test_the_last_page_of_all_is_refused() -> None:
    assert name_at(2**64 - PAGE, PAGE, b"n") == errno.EINVAL
    assert name_at(2**64 - 4 * PAGE, 4 * PAGE, b"n") == errno.EINVAL
    assert name_at(2**64 - 2 * PAGE, PAGE, b"n") == errno.ENOMEM


@row("2.1", "0 for size 0, mapped or not")
def test_size_zero_is_done_at_once(arena: Arena) -> None:
    arena.map(0, 1)
    for start in (arena.at(0), arena.at(50), 0, 2**64 - PAGE):
        assert name_at(start, 0, b"n") == 0
    assert arena.names() == [(0, 1, None)]


@row("2.1", "no capability is needed")
def test_anybody_may_name(arena: Arena) -> None:
    def do() -> tuple[int, str, list[tuple[int, int, bytes | None]]]:
        os.setgid(65534)
        os.setuid(65534)
        status = Path("/proc/thread-self/status").read_text()
        answer = arena.name(0, 1, b"n")
        # A process that changed its user may not read its own maps: exec could.
        held = next(x for x in status.splitlines() if x.startswith("CapEff"))
        return answer, held.split()[1], arena.names()

    arena.map(0, 1)
    answer, held, names = told_by_child(do)
    assert (answer, int(held, 16), names) == (0, 0, [(0, 1, b"n")])


@row("2.1", "the caller's own memory only")
def test_only_the_caller_is_named(arena: Arena) -> None:
    def do() -> tuple[int, list[tuple[int, int, bytes | None]]]:
        return arena.name(0, 1, b"child"), arena.names()

    arena.map(0, 1)
    assert told_by_child(do) == (0, [(0, 1, b"child")])
    assert arena.names() == [(0, 1, None)]


@row("2.1", "a wrong attr beats a bad pointer")
def test_attr_comes_before_the_name(arena: Arena) -> None:
    def call() -> None:
        system_call("prctl", PR_SET_VMA, 1, 1, 0, BAD_POINTER)

    assert errno_of(call) == errno.EINVAL


@row("2.1", "a bad pointer beats a bad byte before it")
def test_the_whole_name_is_read_before_its_bytes_are_judged(arena: Arena) -> None:
    arena.map(0, 1)
    assert arena.name(0, 1, at_the_end(arena, BAD_BYTE)) == errno.EFAULT
    assert arena.name(0, 1, at_the_end(arena, BAD_BYTE + b"\0")) == errno.EINVAL


@row("2.1", "a bad pointer beats a bad address")
def test_the_name_comes_before_the_address() -> None:
    assert name_at(1, PAGE, BAD_POINTER) == errno.EFAULT
    assert name_at(PAGE, 2**64 - 1, BAD_POINTER) == errno.EFAULT


@row("2.1", "a bad pointer beats size 0")
def test_the_name_comes_before_size_zero() -> None:
    assert name_at(PAGE, 0, BAD_POINTER) == errno.EFAULT


@row("2.1", "a bad byte beats size 0")
def test_the_bytes_come_before_size_zero() -> None:
    assert name_at(PAGE, 0, BAD_BYTE) == errno.EINVAL


@row("2.1", "a name too long beats size 0")
def test_the_length_comes_before_size_zero() -> None:
    assert name_at(PAGE, 0, TOO_LONG) == errno.EINVAL


@row("2.1", "a bad byte beats unmapped memory")
def test_the_bytes_come_before_the_walk(arena: Arena) -> None:
    assert arena.name(0, 1, BAD_BYTE) == errno.EINVAL
    assert arena.name(0, 1, TOO_LONG) == errno.EINVAL
    assert arena.name(0, 1, b"good") == errno.ENOMEM


@row("2.1", "a bad address beats size 0")
def test_the_address_comes_before_size_zero(arena: Arena) -> None:
    assert name_at(arena.at(0) + 1, 0, b"n") == errno.EINVAL
    assert name_at(arena.at(0), 0, b"n") == 0


@row("2.1", "a bad address beats unmapped memory")
def test_the_address_comes_before_the_walk(arena: Arena) -> None:
    assert name_at(arena.at(0) + 1, PAGE, b"n") == errno.EINVAL


@row("2.1", "a bad size beats unmapped memory")
def test_the_size_comes_before_the_walk(arena: Arena) -> None:
    assert name_at(arena.at(0), 2**64 - 1, b"n") == errno.EINVAL
    assert name_at(arena.at(0), 2**64 - PAGE, b"n") == errno.EINVAL


@row("2.1", "a huge size names all that follows, then ENOMEM")
def test_there_is_no_end_but_that_of_the_address_space() -> None:
    def do() -> tuple[int, int]:
        # All but the lowest page of the stack, and whatever lies above it.
        start = entry_of(b"[stack]").start + PAGE
        answer = name_at(start, 2**64 - 2 * PAGE - start, b"rest")
        # The stack hides its name, but not that it was split.
        return answer, entry_of(b"[stack]").start - start

    assert told_by_child(do) == (errno.ENOMEM, 0)


@row("2.1", "a huge size stops at the first file with EBADF")
def test_a_huge_size_stops_at_a_file(arena: Arena) -> None:
    arena.map(0, 1)
    arena.map(4, 1)
    with open("/proc/self/exe", "rb") as file:
        arena.map(6, 1, PROT_READ, MAP_PRIVATE, fd=file.fileno())
    arena.map(8, 1)
    size = 2**64 - 2 * PAGE - arena.at(0)
    assert name_at(arena.at(0), size, b"n") == errno.EBADF
    assert arena.names() == [(0, 1, b"n"), (4, 1, b"n"), (6, 1, None), (8, 1, None)]
