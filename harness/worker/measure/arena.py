"""Builds a layout in this process: a reservation, its VMAs and their names.

0123456789ab
------------    reserve: one mapping, no access, MAP_NORESERVE
-wwwwwwwwww-    open: the inside becomes writable and is written to
-wrwrwrwrwr-    split: every other VMA becomes read-only
"""

import contextlib
import ctypes
import io
import itertools
import mmap
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from harness.errors import CheckFailed
from harness.lean.noise import Noise
from harness.linux import (
    map_memory,
    open_maps,
    protect_memory,
    read_maps,
    set_anon_name,
    unmap_memory,
)
from harness.linux.uapi import (
    MAP_ANONYMOUS,
    MAP_NORESERVE,
    MAP_PRIVATE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from harness.maps import MapsEntry, render_line
from harness.workload import GUARD_PAGES, Layout, NamingKind, NamingScheme

CLOCK = time.CLOCK_MONOTONIC

_PAGE = mmap.PAGESIZE
_RANDOM_BYTES = 1 << 20
# Only few name objects exist at once: the pages of their objects stay in the heap,
# which fork copies.
_NAMES_AT_ONCE = 16
# For ``prepare_heap``: a length in each size class of the interpreter's heap. With this
# many names of each, a process with 1 000 names has no page more than one without.
_PREPARED_NAMES = 256
_PREPARED_SCHEMES = [NamingScheme(NamingKind.DISTINCT, n) for n in range(15, 80, 16)]
# Lines that are rendered at once, and bytes of maps that are read at once.
_LINES_AT_ONCE = 1024
_PIECE = 1 << 16
# VMAs between two rests; even, because only every other VMA is changed.
_REST_EVERY = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingLoop:
    """The calls of a naming scheme, as numbers for a loop.

    Call i names ``length`` bytes from ``start`` + i * ``length`` with the text at
    ``text`` + i * ``stride``; all in bytes.
    """

    calls: int
    start: int
    length: int
    text: int
    stride: int


def give_names(loop: NamingLoop, clock: int) -> tuple[int, int]:
    """Make the calls; the clock before and after. Raises the kernel's OSError."""
    name, now = set_anon_name, time.clock_gettime_ns
    start, length, text, stride = loop.start, loop.length, loop.text, loop.stride
    before = now(clock)
    for _ in range(loop.calls):
        name(start, length, text)
        start += length
        text += stride
    return before, now(clock)


class Arena:
    """The VMAs of a layout in this process; a context manager that unmaps them.

    While it makes the VMAs it sleeps ``rest_s`` seconds now and then. Raises the
    kernel's OSError: ENOMEM at vm.max_map_count or without memory.
    """

    def __init__(self, layout: Layout, *, seed: int, rest_s: float = 0) -> None:
        self.layout = layout
        self._rest_s = rest_s
        self.start = _reserve(layout.arena_pages * _PAGE)
        try:
            self._build(seed)
        except BaseException:
            self.unmap()
            raise

    def __enter__(self) -> "Arena":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unmap()

    @property
    def length(self) -> int:
        """Bytes of the reservation, with its guards."""
        return self.layout.arena_pages * _PAGE

    def _build(self, seed: int) -> None:
        layout = self.layout
        vma_bytes = layout.vma_pages * _PAGE
        first = self.start + GUARD_PAGES * _PAGE
        protect_memory(first, layout.vmas * vma_bytes, PROT_READ | PROT_WRITE)
        if layout.written_pages:
            self._write(seed)
        for index in range(1, layout.vmas, 2):
            protect_memory(first + index * vma_bytes, vma_bytes, PROT_READ)
            if self._rest_s and index % _REST_EVERY == 1:
                time.sleep(self._rest_s)

    def _write(self, seed: int) -> None:
        # Random data, so that no page is zero or equal to its neighbour.
        chooser = Noise(seed)
        noise = chooser.some_bytes(_RANDOM_BYTES)
        size = self.layout.written_pages * _PAGE
        room = _RANDOM_BYTES - min(size, _RANDOM_BYTES)
        for page in self.layout.first_pages():
            at, end = self.start + page * _PAGE, self.start + page * _PAGE + size
            while at < end:
                chunk = min(end - at, _RANDOM_BYTES)
                skip = chooser.below(room + 1)
                ctypes.memmove(at, noise[skip : skip + chunk], chunk)
                at += chunk

    @contextlib.contextmanager
    def naming_loop(
        self, naming: NamingScheme, *, again: bool = False
    ) -> Iterator[NamingLoop]:
        """The calls of a scheme; the texts exist only inside the block.

        With ``again`` each VMA gets another name of the same length.
        """
        vmas = self.layout.vmas
        vma_bytes = self.layout.vma_pages * _PAGE
        calls = naming.call_count(vmas)
        with _texts_of(naming, calls, again=again) as pool:
            yield NamingLoop(
                calls=calls,
                start=self.start + GUARD_PAGES * _PAGE,
                length=vmas * vma_bytes // calls,
                text=pool,
                stride=naming.length + 1,
            )

    def name(self, naming: NamingScheme) -> None:
        """Name the VMAs by a scheme other than none."""
        with self.naming_loop(naming) as loop:
            give_names(loop, CLOCK)

    def entries(self, naming: NamingScheme) -> Iterator[MapsEntry]:
        """The lines of maps that the arena should have, with its guards."""
        layout = self.layout
        guard = GUARD_PAGES * _PAGE
        yield MapsEntry(start=self.start, end=self.start + guard, perms="---p")
        names = naming.names(layout.vmas)
        for index, (page, name) in enumerate(
            zip(layout.first_pages(), names, strict=True)
        ):
            start = self.start + page * _PAGE
            yield MapsEntry(
                start=start,
                end=start + layout.vma_pages * _PAGE,
                perms="r--p" if index % 2 else "rw-p",
                pathname=b"" if name is None else b"[anon:%s]" % name,
            )
        end = self.start + self.length
        yield MapsEntry(start=end - guard, end=end, perms="---p")

    def expected_text(self, naming: NamingScheme) -> bytes:
        """The text of ``entries`` in /proc/pid/maps.

        Takes little more memory than the text itself.
        """
        # Collecting the pieces and joining them would need twice the memory.
        text = io.BytesIO()
        for piece in self._pieces_of_text(naming):
            text.write(piece)
        return text.getvalue()

    def _pieces_of_text(self, naming: NamingScheme) -> Iterator[bytes]:
        """The lines, up to about a thousand at once.

        One by one they would take a fifth of a cell's time in a guest. The VMAs are
        adjacent, so the end of one is the start of the next. Between the addresses and
        the name a line has one of two texts, as long as all addresses have the same
        number of digits.
        """
        guard, *pair = itertools.islice(self.entries(naming), 3)
        size = self.layout.vma_pages * _PAGE
        past = guard.end + self.layout.vmas * size
        names = naming.names(self.layout.vmas)
        named = naming.kind is not NamingKind.NONE
        end = [itertools.repeat(b"]\n")] if named else []
        yield render_line(guard) + b"\n"
        for start, stop in _of_same_digits(guard.end, past, size):
            first = (start - guard.end) // size % 2
            between = [
                _between(entry._replace(start=start, end=start + size))
                for entry in (pair[first], pair[1 - first])
            ]
            edges = _in_hex(range(start, stop + 1, size))
            some = [itertools.islice(names, len(edges) - 1)] if named else []
            parts = zip(
                edges, itertools.repeat(b"-"), edges[1:], itertools.cycle(between),
                *some, *end, strict=False,
            )  # fmt: skip
            yield b"".join(itertools.chain.from_iterable(parts))
        last = MapsEntry(start=past, end=past + GUARD_PAGES * _PAGE, perms="---p")
        yield render_line(last) + b"\n"

    def split(self, clock: int) -> tuple[int, int]:
        """Split every VMA by protecting its last page; the clock before and after."""
        size = self.layout.vma_pages * _PAGE
        last = self.start + GUARD_PAGES * _PAGE + size - _PAGE
        protect, now = protect_memory, time.clock_gettime_ns
        before = now(clock)
        for _ in range(self.layout.vmas):
            protect(last, _PAGE, PROT_NONE)
            last += size
        return before, now(clock)

    def unmap(self) -> None:
        """Unmap the whole reservation; a second call does nothing."""
        if self.start:
            unmap_memory(self.start, self.length)
            self.start = 0


def prepare_heap() -> None:
    """Make some names of each size in Python's heap, without naming any VMA.

    Which pages of the heap are written between two forks depends on earlier
    allocations, and fork must copy each written page. After this call the heap has the
    same free memory in all processes, whether their cell has names or not.
    """
    for naming in _PREPARED_SCHEMES:
        with _texts_of(naming, _PREPARED_NAMES):
            pass


@contextlib.contextmanager
def _texts_of(
    naming: NamingScheme, count: int, *, again: bool = False
) -> Iterator[int]:
    """Write ``count`` names of a scheme, each with its NUL, one after another.

    Yields their address. They lie in their own mapping, which is unmapped at the end of
    the block, so that fork copies nothing of it.
    """
    stride = naming.length + 1
    length = count * stride
    pool = map_memory(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    try:
        names = naming.names(count)
        at = pool
        while some := list(itertools.islice(names, _NAMES_AT_ONCE)):
            texts = b"".join(name + b"\0" for name in some if name is not None)
            if again and naming.length:
                texts = _with_first_bytes(texts, b"+", stride)
            ctypes.memmove(at, texts, len(texts))
            at += len(texts)
        yield pool
    finally:
        unmap_memory(pool, length)


def _reserve(length: int) -> int:
    # MAP_NORESERVE: otherwise fork would do the overcommit check for the writable VMAs
    # only.
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    # Leave a hole on each side: reservations of the C library have the same flags, and
    # a guard next to one would merge with it.
    outer = map_memory(0, length + 2 * _PAGE, PROT_NONE, flags)
    unmap_memory(outer, _PAGE)
    unmap_memory(outer + _PAGE + length, _PAGE)
    return outer + _PAGE


def _with_first_bytes(texts: bytes, first: bytes, stride: int) -> bytes:
    changed = bytearray(texts)
    changed[::stride] = first * (len(texts) // stride)
    return bytes(changed)


def _of_same_digits(start: int, past: int, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of VMAs whose addresses have the same number of digits.

    A VMA that ends at the first address with more digits is its own range.
    """
    while start < past:
        first_with_more = 16 ** max(8, len(f"{start:x}"))
        same = (first_with_more - 1 - start) // size
        stop = min(start + min(max(same, 1), _LINES_AT_ONCE) * size, past)
        yield start, stop
        start = stop


def _in_hex(addresses: range) -> list[bytes]:
    """Addresses as in maps; more than two must all have the same number of digits."""
    if len(addresses) == 2:
        return [b"%08x" % address for address in addresses]
    # Imported here only: just the child that checks maps needs it.
    from array import array

    found = array("Q", addresses)
    if sys.byteorder == "little":
        found.byteswap()
    zeros = b"0" * (16 - max(8, len(f"{addresses[0]:x}")))
    text = b" " + found.tobytes().hex(" ", 8).encode()
    return text.replace(b" " + zeros, b" ").split()


def _between(entry: MapsEntry) -> bytes:
    """The part of a line between its addresses and its name, or up to its end."""
    line = render_line(entry)
    after = line[line.index(b" ") :]
    if not entry.pathname:
        return after + b"\n"
    return after.removesuffix(entry.pathname) + b"[anon:"


def check_maps(expected: bytes, *, pid: int | None = None) -> None:
    """Raise CheckFailed unless a process's maps have exactly the expected lines.

    Without a pid, of this process. The error shows the first line that differs. The
    texts are compared, because they show every name, boundary and protection. maps is
    read piece by piece; only to explain a difference it is read as a whole and parsed.
    """
    if not _maps_contain(expected, pid):
        raise CheckFailed(_first_difference(expected, read_maps(pid)))


def _maps_contain(expected: bytes, pid: int | None) -> bool:
    """Whether maps contains this text, starting at the text's first address."""
    start = b"\n" + expected[: expected.index(b"-") + 1]
    piece = b"\n"
    with open_maps(pid) as maps:
        while (at := piece.find(start)) < 0:
            more = maps.read(_PIECE)
            if not more:
                return False
            piece = piece[-len(start) :] + more
        piece = piece[at + 1 :]
        done = 0
        while done + len(piece) < len(expected):
            if not piece or not expected.startswith(piece, done):
                return False
            done += len(piece)
            piece = maps.read(_PIECE)
    return piece.startswith(expected[done:])


def _first_difference(expected: bytes, text: bytes) -> str:
    # Imported here only: usually there is no difference to explain.
    from harness.maps import parse_maps

    wanted = list(parse_maps(expected))
    arena = range(wanted[0].start, wanted[-1].end)
    found = [e for e in parse_maps(text) if e.start in arena or e.end - 1 in arena]
    for number, entry in enumerate(wanted):
        if number >= len(found) or found[number] != entry:
            shown = render_line(found[number]) if number < len(found) else b"no line"
            return (
                f"the kernel does not show what was built: VMA {number - 1} of the "
                f"arena should be {render_line(entry)!r}, maps has {shown!r}"
            )
    return f"maps shows {len(found) - len(wanted)} lines too many in the arena"
