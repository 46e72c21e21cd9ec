"""Parses a whole /proc/pid/maps at once, in a fifth of the time of line by line.

The values are the same. Addresses ascend, so lines whose addresses have the same
number of digits are adjacent. Such lines are called a row here and cut like a table:

    7f2f0a400000-7f2f0a401000 rw-p 00000000 00:00 0          [anon:a name]
    --------- key ----------- ------- header ---------------- --- path ---

The digits of all keys are converted together. There are few different headers: each is
parsed once. If all lines have the same length, as in an arena, the text is a table
already and its columns are slices of it, which halves the time again. This module
accepts only lines that are certainly well formed. All others go to ``parse_line``,
which defines the values and the errors.
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
    """The fields of a line between its addresses and its pathname, as in MapsEntry."""

    perms: str
    offset: int
    major: int
    minor: int
    inode: int


@dataclass(frozen=True, slots=True)
class MapsColumns:
    """The lines of a text in columns.

    Line i goes from ``starts[i]`` to before ``ends[i]``, has the header
    ``headers[which[i]]`` and the pathname ``pathnames[i]``. ``starts`` and ``ends`` are
    unsigned 64-bit (array "Q"), ``which`` is array "I". ``headers`` may contain
    duplicates and headers that no line uses.
    """

    starts: "array[int]"
    ends: "array[int]"
    which: "array[int]"
    headers: Sequence[Header]
    pathnames: Sequence[bytes]

    def entries(self) -> list[MapsEntry]:
        """The lines as entries."""
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

    Raises MapsFormatError for a line of unknown format, for text that does not end in
    a newline (a short read), and for entries that are not ascending. It raises before
    it returns the first entry.
    """
    return iter(parse_columns(text).entries())


def parse_columns(text: bytes) -> MapsColumns:
    """Like ``parse_maps``, but in columns, which take less memory and half the time."""
    builder = _Builder()
    if not text:
        return builder.columns()
    if not text.endswith(b"\n"):
        raise MapsFormatError(text[-200:], "the text ends inside a line")
    at = 0
    while at < len(text):
        # Piece by piece, so that all pieces reuse the same small memory.
        stop = text.find(b"\n", at + _PIECE) + 1 or len(text)
        builder.add_lines(text[at:stop])
        at = stop
    return builder.columns()


def _key_length(line: bytes) -> int:
    return line.find(b" ") + 1


class _Builder:
    """Collects the columns."""

    def __init__(self) -> None:
        self._starts, self._ends, self._which = array("Q"), array("Q"), array("I")
        self._headers: list[Header] = []
        self._pathnames: list[bytes] = []
        # For each length of keys: the index of each header, by its text.
        self._known: dict[int, dict[bytes, int]] = {}

    def columns(self) -> MapsColumns:
        return MapsColumns(
            self._starts, self._ends, self._which, self._headers, self._pathnames
        )

    def add_lines(self, text: bytes) -> None:
        """Add the next lines, with their newlines. Raises MapsFormatError."""
        if self._add_alike(text):
            return
        lines = text[:-1].split(b"\n")
        at = 0
        while at < len(lines):
            key_length = _key_length(lines[at])
            # Bisection needs ascending lines. If they are not, the row is refused.
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
        """Add lines with keys of this length; False, and none is added, if in doubt."""
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
            # Refuse a line that is padded for a path but has none.
            if _PATH_AT in map(len, lines) or not all(map(_PATH.fullmatch, set(paths))):
                return False
        return self._extend(edges, map(indices.__getitem__, heads), paths)

    def _add_alike(self, text: bytes) -> bool:
        """Add lines of equal length whose headers differ in at most one character.

        The text need not be cut into lines, which halves the time. False, and none is
        added, if the lines are different or in doubt.
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
        """The index of each header text, added if it is new; None if in doubt."""
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
    """The pathnames of lines that are each ``width`` long; None if in doubt."""
    count = len(text) // width
    length = width - 1 - _PATH_AT
    if length < 0:
        return [b""] * count
    paths = [text[at : at + length] for at in range(_PATH_AT, len(text), width)]
    if _are_names(paths, length) or all(map(_PATH.fullmatch, set(paths))):
        # A length of 0 means lines that are padded for a path but have none.
        return paths if length else None
    return None


def _are_names(paths: Sequence[bytes], length: int) -> bool:
    """Whether all paths, each ``length`` long, are anonymous names.

    Names usually all differ, so one check of the joined text is faster than a set.
    """
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
    """Starts and ends alternately, if the kernel could have written all the keys.

    There is a key at each multiple of ``row``.
    """
    width, remainder = divmod(key_length - 2, 2)
    if remainder or not 8 <= width <= _DIGITS:
        return None
    count, rest = divmod(len(text), row)
    dashes, spaces = text[width::row], text[key_length - 1 :: row]
    if rest or dashes != b"-" * count or spaces != b" " * count:
        return None
    digits = bytearray(b"0") * (2 * _DIGITS * count)
    for at in range(width):
        digit = _DIGITS - width + at
        digits[digit :: 2 * _DIGITS] = text[at::row]
        digits[_DIGITS + digit :: 2 * _DIGITS] = text[width + 1 + at :: row]
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
    """Parse a header, between a row's first key and the path; None if in doubt.

    This also checks that the first key has the right padding. The other keys of this
    length follow it, so they are not lower and are padded correctly too.
    """
    line = key + head
    try:
        # parse_line needs a path after a padded header: add "/".
        return _header_of(parse_line(line + b"/" * (len(line) == _PATH_AT)))
    except MapsFormatError:
        return None


def _header_of(entry: MapsEntry) -> Header:
    return Header(entry.perms, entry.offset, entry.major, entry.minor, entry.inode)
