"""Inputs made from inputs: bytes changed, and documents changed where they hold."""

import json
import random
from collections.abc import Callable
from typing import Any

from tests.torture.fuzz_current import MOST_BYTES

# What parsers have stumbled over: numbers, text, brackets, and ways out.
_WORDS = (
    b"", b"0", b"-1", b"9" * 5000, b"1e400", b"NaN", b"-Infinity", b"null", b"true",
    b"18446744073709551616", b"9223372036854775808", b"[" * 3000, b'{"a":' * 2000,
    b'"\\ud800"', b"\xed\xa0\x80", b"\xff\xfe", b"\0", b"\x1b[2J", b"\x1b]0;x\x07",
    b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\r", b"\n", b"\n\n", b"../../../etc/passwd",
    b"/etc/passwd", b"[red]x[/]", b"[link=http://x]", b"<script>", b"$(id)", b"`id`",
    b"1979-05-27T07:32:00Z", b"'''", b'"""', b"[[a]]", b"a.b.c = 1", b" " * 3000,
    b"x" * 5000, b"KTAP version 1", b"1..0", b"not ok 1", b"# SKIP", b"[anon:",
    b"(deleted)", b"ffffffffffffffff-0", b"GNU\0", b"\xc3", b"\x7fELF",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30,
    10**4000, 0.5, 1e308, float("nan"), float("inf"), "", "\0", "\ud800", "\x1b[2J",
    "[red]x[/]", "[link=http://x]y[/link]", "$\\frac", "../../x", "/etc/passwd",
    "x" * 5000, "\u202e", "line\nline", [], {}, [[]], [[[[[]]]]], {"": {}}, [0] * 1000,
)  # fmt: skip


def mutated(seed: bytes, chooser: random.Random) -> bytes:
    """A seed with a few changes; no longer than an input may be."""
    data = seed
    for _ in range(1 + chooser.randrange(4)):
        data = chooser.choice(_CHANGES)(data, chooser)
    return data[:MOST_BYTES]


def _cut(data: bytes, chooser: random.Random) -> bytes:
    first, last = _span(data, chooser)
    return data[:first] + data[last:]


def _end(data: bytes, chooser: random.Random) -> bytes:
    return data[: chooser.randrange(len(data) + 1)]


def _repeat(data: bytes, chooser: random.Random) -> bytes:
    first, last = _span(data, chooser)
    times = chooser.choice((1, 1, 2, 50))
    return data[:last] + data[first:last] * times + data[last:]


def _word(data: bytes, chooser: random.Random) -> bytes:
    first, last = _span(data, chooser)
    last = chooser.choice((first, last))
    return data[:first] + chooser.choice(_WORDS) + data[last:]


def _flip(data: bytes, chooser: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(1 + chooser.randrange(3)):
        if made:
            made[chooser.randrange(len(made))] ^= 1 << chooser.randrange(8)
    return bytes(made)


def _number(data: bytes, chooser: random.Random) -> bytes:
    # A field of a binary header: as large as it goes, or next to it.
    size = chooser.choice((1, 2, 4, 8))
    at = chooser.randrange(len(data) + 1)
    value = chooser.choice((0, 1, (1 << 8 * size) - 1, 1 << 8 * size - 1))
    return data[:at] + value.to_bytes(size, "little") + data[at + size :]


def _line(data: bytes, chooser: random.Random) -> bytes:
    # One line of JSON, with a value of it changed, taken out or doubled.
    lines = data.split(b"\n")
    at = chooser.randrange(len(lines))
    try:
        document = json.loads(lines[at])
    except (ValueError, RecursionError):
        return _word(data, chooser)
    lines[at] = _document(document, chooser)
    return b"\n".join(lines)


def _document(document: Any, chooser: random.Random) -> bytes:
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting and len(places) < 2000:
        found = waiting.pop()
        if isinstance(found, dict):
            places += [(found, key) for key in found]
            waiting += found.values()
        elif isinstance(found, list):
            places += [(found, at) for at in range(len(found))]
            waiting += found
    if places:
        holder, key = chooser.choice(places)
        if chooser.randrange(4) == 0:
            del holder[key]
        elif isinstance(holder, list) and chooser.randrange(4) == 0:
            holder.append(holder[key])
        else:
            holder[key] = chooser.choice(_VALUES)
    else:
        document = chooser.choice(_VALUES)
    try:
        return json.dumps(document, separators=(",", ":")).encode()
    except ValueError:
        # A number of more digits than Python writes.
        return b"9" * 5000


_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut, _end, _repeat, _word, _word, _flip, _number, _line, _line, _line,
)  # fmt: skip


def _span(data: bytes, chooser: random.Random) -> tuple[int, int]:
    first = chooser.randrange(len(data) + 1)
    return first, min(len(data), first + chooser.choice((1, 2, 4, 16, 64, 1000)))
