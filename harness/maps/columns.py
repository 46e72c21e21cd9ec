"""A whole /proc/pid/maps at once: the values of line by line, in a fifth of the time.

Addresses ascend, so lines whose addresses have as many digits lie in a row, and
such a row is cut like a table:

    7f2f0a400000-7f2f0a401000 rw-p 00000000 00:00 0          [anon:a name]
    --------- key ----------- ------- header ---------------- --- path ---

The digits of all keys are converted together; of headers, of which there are few,
each is parsed once. Lines that are all as long, as those of one program's arena are,
lie in a table as they are, and its columns are slices of the text: half the time
again. This side accepts only what is surely right. Where anything is odd, the row is
left to ``parse_line``, whose values and errors are the definition.
"""

import operator
import re
import sys
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple

from harness.errors import MapsFormatError
from harness.lean.collector import collector_at_rest
from harness.maps.entry import WIDTH, MapsEntry
from harness.maps.lines import NAME, parse_line

_HEX = b"0123456789abcdef"
_DIGITS = 16
_PIECE = 1 << 17
_PATH_AT = WIDTH + 1
_NAMED = b"[anon:"
_LONGEST_NAMED = len(_NAMED) + 79 + 1
_NAME_CHARACTERS = bytes(i for i in range(256) if re.fullmatch(NAME, bytes([i])))
_PATH = re.compile(rb"(?!\[anon)[^\0]*|\[anon(?:_shmem)?:" + NAME + rb"\]")


class Header(NamedTuple):
    """What a line says between its addresses and its pathname, as in MapsEntry."""

    perms: str
    offset: int
    major: int
    minor: int
    inode: int


@dataclass(frozen=True, slots=True)
class MapsColumns:
    """A text's lines: line i is [``starts[i]``, ``ends[i]``), has the header
    ``headers[which[i]]`` and ends in ``pathnames[i]``.

    ``starts`` and ``ends`` are unsigned 64-bit (array "Q"), ``which`` is array
    "I". A header may be there more than once, or for no line.
    """

    starts: "array[int]"
    ends: "array[int]"
    which: "array[int]"
    headers: Sequence[Header]
    pathnames: Sequence[bytes]

    def entries(self) -> list[MapsEntry]:
        """The lines as values."""
        perms, offset, major, minor, inode = map(self._of_headers, Header._fields)
        rows = zip(
            self.starts, self.ends, perms, offset, major, minor, inode,
            self.pathnames, strict=False,
        )  # fmt: skip
        with collector_at_rest():
            return list(map(tuple.__new__, repeat(MapsEntry), rows))

    def _of_headers(self, field: str) -> Iterable[Any]:
        values = [getattr(header, field) for header in self.headers]
        if len(set(values)) == 1:
            return repeat(values[0])
        return map(values.__getitem__, self.which)


def parse_maps(text: bytes) -> Iterator[MapsEntry]:
    """Every line of a whole /proc/pid/maps, in order.

    Raises MapsFormatError, before the first is handed out, for a line of unknown
    shape, for text that does not end in a newline (a short read), and for entries
    that are not ascending.
    """
    return iter(parse_columns(text).entries())


def parse_columns(text: bytes) -> MapsColumns:
    """The same in columns, which take less memory and half the time."""
    builder = _Builder()
    if not text:
        return builder.columns()
    if not text.endswith(b"\n"):
        raise MapsFormatError(text[-200:], "the text ends inside a line")
    at = 0
    while at < len(text):
        # A piece at a time: the same memory, close by, does for all.
        stop = text.find(b"\n", at + _PIECE) + 1 or len(text)
        builder.add_lines(text[at:stop])
        at = stop
    return builder.columns()


def _key_length(line: bytes) -> int:
    return line.find(b" ") + 1


class _Builder:
    """Columns as they grow."""

    def __init__(self) -> None:
        self._starts, self._ends, self._which = array("Q"), array("Q"), array("I")
        self._headers: list[Header] = []
        self._pathnames: list[bytes] = []
        # By the length of keys: the index of each header by its text.
        self._known: dict[int, dict[bytes, int]] = {}

    def columns(self) -> MapsColumns:
        return MapsColumns(
            self._starts, self._ends, self._which, self._headers, self._pathnames
        )

    def add_lines(self, text: bytes) -> None:
        """The next lines, with their newlines. Raises MapsFormatError."""
        if self._add_alike(text):
            return
        lines = text[:-1].split(b"\n")
        at = 0
        while at < len(lines):
            key_length = _key_length(lines[at])
            # As lines ascend; where they do not, no row of them will do.
            stop = bisect_right(lines, key_length, lo=at + 1, key=_key_length)
            row = lines[at:stop]
            if not self._add_row(row, key_length):
                for line in row:
                    self._add_line(line)
            at = stop

    def _add_line(self, line: bytes) -> None:
        entry = parse_line(line)
        if self._ends and entry.start < self._ends[-1]:
            raise MapsFormatError(line, "it overlaps or precedes the line before it")
        self._starts.append(entry.start)
        self._ends.append(entry.end)
        self._which.append(len(self._headers))
        self._headers.append(_header_of(entry))
        self._pathnames.append(entry.pathname)

    def _add_row(self, lines: Sequence[bytes], key_length: int) -> bool:
        """Add lines whose keys are that long; False, and none added, in doubt."""
        keys = b"".join(_cut(lines, slice(key_length)))
        edges = _edges(keys, key_length, key_length)
        if edges is None or len(edges) != 2 * len(lines):
            return False
        heads = _cut(lines, slice(key_length, _PATH_AT))
        indices = self._indices(lines[0][:key_length], set(heads))
        if indices is None:
            return False
        if max(map(len, indices)) < _PATH_AT - key_length:
            paths = [b""] * len(lines)
        else:
            paths = _cut(lines, slice(_PATH_AT, None))
            # Padded up to a path that is not there, or with no room for one.
            if _PATH_AT in map(len, lines) or not all(map(_PATH.fullmatch, set(paths))):
                return False
        return self._extend(edges, map(indices.__getitem__, heads), paths)

    def _add_alike(self, text: bytes) -> bool:
        """Add lines that are as long as each other, one character of a header apart.

        Not even cut into lines, they take half the time. False, and none added,
        where they are not, or in doubt.
        """
        width = text.find(b"\n") + 1
        count, rest = divmod(len(text), width)
        newlines = b"\n" * count
        if rest or text[width - 1 :: width] != newlines or text.count(b"\n") != count:
            return False
        key_length = _key_length(text[:width])
        head = range(key_length, min(width - 1, _PATH_AT))
        varying = [at for at in head if not _all_same(text[at::width])]
        if len(varying) > 1:
            return False
        edges = _edges(text, width, key_length)
        paths = _paths(text, width)
        if edges is None or paths is None:
            return False
        differs = varying[0] if varying else key_length
        column = text[differs::width]
        heads = {
            character: text[key_length:differs]
            + bytes([character])
            + text[differs + 1 : head.stop]
            for character in set(column)
        }
        indices = self._indices(text[:key_length], heads.values())
        if indices is None:
            return False
        which = {character: indices[head] for character, head in heads.items()}
        return self._extend(edges, map(which.__getitem__, column), paths)

    def _indices(self, key: bytes, heads: Collection[bytes]) -> dict[bytes, int] | None:
        """The index of each text's header, added where it is new; None in doubt."""
        known = self._known.setdefault(len(key), {})
        for head in heads:
            if head not in known:
                header = _header(key, head)
                if header is None:
                    return None
                known[head] = len(self._headers)
                self._headers.append(header)
        return {head: known[head] for head in heads}

    def _extend(
        self, edges: "array[int]", which: Iterable[int], paths: Sequence[bytes]
    ) -> bool:
        if self._ends and edges[0] < self._ends[-1]:
            return False
        self._starts += edges[0::2]
        self._ends += edges[1::2]
        self._which.extend(which)
        self._pathnames += paths
        return True


def _all_same(text: bytes) -> bool:
    return text == text[:1] * len(text)


def _paths(text: bytes, width: int) -> list[bytes] | None:
    """Those of lines that are each ``width`` long; None in doubt."""
    count = len(text) // width
    length = width - 1 - _PATH_AT
    if length < 0:
        return [b""] * count
    paths = [text[at : at + length] for at in range(_PATH_AT, len(text), width)]
    if _are_names(paths, length) or all(map(_PATH.fullmatch, set(paths))):
        # None: padded up to a path that is not there, or with no room for one.
        return paths if length else None
    return None


def _are_names(paths: Sequence[bytes], length: int) -> bool:
    """Whether paths of that length are all anonymous names: mostly no two the same."""
    text = b"".join(paths)
    return (
        length <= _LONGEST_NAMED
        and text.startswith(_NAMED)
        and text.endswith(b"]")
        and all(_all_same(text[at::length]) for at in (*range(len(_NAMED)), length - 1))
        and text.translate(None, _NAME_CHARACTERS) == b"[]" * len(paths)
    )


def _cut(lines: Sequence[bytes], part: slice) -> list[bytes]:
    return list(map(operator.itemgetter(part), lines))


def _edges(text: bytes, row: int, key_length: int) -> "array[int] | None":
    """Starts and ends by turns, if all keys are as the kernel writes them.

    There is a key at each multiple of ``row``.
    """
    width, odd = divmod(key_length - 2, 2)
    if odd or not 8 <= width <= _DIGITS:
        return None
    count, rest = divmod(len(text), row)
    dashes, spaces = text[width::row], text[key_length - 1 :: row]
    if rest or dashes != b"-" * count or spaces != b" " * count:
        return None
    digits = bytearray(b"0") * (2 * _DIGITS * count)
    for at in range(width):
        place = _DIGITS - width + at
        digits[place :: 2 * _DIGITS] = text[at::row]
        digits[_DIGITS + place :: 2 * _DIGITS] = text[width + 1 + at :: row]
    if digits.translate(None, _HEX):
        return None
    edges = array("Q", bytes.fromhex(digits.decode()))
    if sys.byteorder == "little":
        edges.byteswap()
    starts, ends = edges[0::2], edges[1::2]
    nexts = starts[1:]
    if all(map(operator.lt, starts, ends)) and (
        nexts == ends[:-1] or all(map(operator.le, ends, nexts))
    ):
        return edges
    return None


def _header(key: bytes, head: bytes) -> Header | None:
    """What follows the row's first key, up to a path if there is one; None in doubt.

    This is where that key is seen to be padded as it should: others as long, in this
    row and later ones, are not lower.
    """
    line = key + head
    try:
        # Any path, where the kernel puts it: only after a header with that much room.
        return _header_of(parse_line(line + b"/" * (len(line) == _PATH_AT)))
    except MapsFormatError:
        return None


def _header_of(entry: MapsEntry) -> Header:
    return Header(entry.perms, entry.offset, entry.major, entry.minor, entry.inode)
