"""The bytes of a name. Source: kernel/sys.c is_valid_name_char()."""

import errno

import pytest

from tests.kernel.facts.arena import Arena
from tests.kernel.facts.rows import row

pytestmark = pytest.mark.kernel

REFUSED = sorted({*range(0x01, 0x20), *b"$[\\]`", *range(0x7F, 0x100)})


def shown(arena: Arena, name: bytes) -> tuple[int, bytes]:
    """What the kernel says to a name, and the text in maps afterwards."""
    answer = arena.name(0, 1, name)
    return answer, arena.entries()[0].pathname


@row("2.3", "each of the 255 bytes is allowed or refused")
def test_every_byte(arena: Arena) -> None:
    arena.map(0, 1)
    for byte in range(1, 256):
        assert arena.name(0, 1, None) == 0
        answer, text = shown(arena, bytes([byte]))
        if byte in REFUSED:
            assert (byte, answer, text) == (byte, errno.EINVAL, b"")
        else:
            assert (byte, answer, text) == (byte, 0, b"[anon:%c]" % byte)


@row("2.3", "each refused byte is refused anywhere in the name")
def test_every_place(arena: Arena) -> None:
    arena.map(0, 1)
    for byte in REFUSED:
        for at in (0, 39, 78):
            name = bytearray(b"n" * 79)
            name[at] = byte
            assert (byte, at, arena.name(0, 1, bytes(name))) == (byte, at, errno.EINVAL)
    assert arena.names() == [(0, 1, None)]


@row("2.3", "spaces may stand anywhere")
def test_spaces(arena: Arena) -> None:
    arena.map(0, 1)
    for name in (b" ", b" first", b"last ", b"  two  of  them  ", b" " * 79):
        assert shown(arena, name) == (0, b"[anon:" + name + b"]")


@row("2.3", "79 bytes are allowed, 80 are not")
def test_the_longest_name(arena: Arena) -> None:
    arena.map(0, 1)
    for length in (1, 40, 78, 79):
        name = b"x" * length
        assert shown(arena, name) == (0, b"[anon:" + name + b"]")
    for length in (80, 81, 256, 5000):
        assert arena.name(0, 1, b"y" * length) == errno.EINVAL
    assert arena.names() == [(0, 1, b"x" * 79)]


@row("2.3", "the empty string is a name")
def test_the_empty_name(arena: Arena) -> None:
    arena.map(0, 1)
    assert shown(arena, b"") == (0, b"[anon:]")


@row("2.3", "the empty string does not merge with unnamed memory")
def test_the_empty_name_keeps_apart(arena: Arena) -> None:
    arena.map(0, 3)
    assert arena.name(1, 1, b"") == 0
    assert arena.names() == [(0, 1, None), (1, 1, b""), (2, 1, None)]
    assert arena.name(2, 1, b"") == 0
    assert arena.names() == [(0, 1, None), (1, 2, b"")]


@row("2.3", "no UTF-8")
def test_utf8(arena: Arena) -> None:
    arena.map(0, 1)
    for name in ("é", "名前", "naïve", "\N{NO-BREAK SPACE}"):
        assert arena.name(0, 1, name.encode()) == errno.EINVAL


@row("2.3", "punctuation that is allowed")
def test_punctuation(arena: Arena) -> None:
    arena.map(0, 1)
    for name in (b":()#%\"';&", b"!*+,-./<=>?@^_{|}~", b"%s%n", b"x (deleted)", b"/x"):
        assert shown(arena, name) == (0, b"[anon:" + name + b"]")


@row("2.3", "nothing after the NUL is looked at")
def test_after_the_nul(arena: Arena) -> None:
    arena.map(0, 1)
    assert shown(arena, b"name\0$[]\xff") == (0, b"[anon:name]")
    assert shown(arena, b"\0" + b"n" * 90) == (0, b"[anon:]")
