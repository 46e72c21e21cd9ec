"""Generates random traces from a seed, weighted toward operations that find bugs.

The theme of a trace determines its operations. Pages are drawn near the pages of
earlier operations, so that boundaries meet. Names are drawn from a small set, so that
neighbours often have equal names.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from harness.workload.naming import MAX_NAME
from harness.workload.ops import (
    MOST_PROCESSES,
    PAGE,
    Advice,
    Advise,
    Break,
    Exec,
    Exit,
    Fork,
    Heap,
    Limit,
    Lock,
    Map,
    Memory,
    Op,
    Pointer,
    Protect,
    Remap,
    SetName,
    Step,
    Unlock,
    Unmap,
    Write,
)


class Theme(Enum):
    """The operations that a trace is made of.

    NAMES: names and flags on private memory that is never written, for which the
    model is exact. KINDS: every kind of mapping. WRITTEN: memory that is written and
    locked. FAMILY: processes that fork and rename, in several generations. LIMIT: near
    vm.max_map_count (needs root). HEAP: brk (needs CAP_SYS_RESOURCE).
    """

    NAMES = "names"
    KINDS = "kinds"
    WRITTEN = "written"
    FAMILY = "family"
    LIMIT = "limit"
    HEAP = "heap"


# The themes that change nothing outside their own processes.
HARMLESS = (Theme.NAMES, Theme.KINDS, Theme.WRITTEN, Theme.FAMILY)

_WEIGHTS = {
    Theme.NAMES: "NNNNNNNNmmuppprrraaabb",
    Theme.KINDS: "NNNNNNMMMMMuppprrraaawb",
    Theme.WRITTEN: "NNNNNNmMuppprrraaawwwlllobb",
    Theme.FAMILY: "NNNNNNmuppraawFFXXeb",
    Theme.LIMIT: "NNNNNNNNmmuppprraaLLLb",
    Theme.HEAP: "NNNNNmppraahhhhhhHwcc",
}

_PROTECTIONS = (0, 1, 1, 1, 3, 3, 3, 3, 5, 7, 2, 4)
_CLOSE_NAMES = ("", "a", "b", "aa", "heap", "[", " ", "a ", "a" * 27, "a" * 59)
# Bytes on both sides of the boundary between valid and invalid name characters.
_CRITICAL_BYTES = "\x1f\x20\x7e\x7f\x80\xff\\`$[]#%Z^_a"
_LONG = ("x" * (MAX_NAME - 1), "x" * MAX_NAME, "y" * MAX_NAME, "x" * (MAX_NAME + 1))


def traces(
    seed: int, operations: int, *, pages: int, length: int, themes: Sequence[Theme]
) -> Iterator[tuple[Step, ...]]:
    """Traces of ``length`` operations, ``operations`` in total; themes alternate."""
    index = 0
    while operations > 0:
        rng = random.Random(f"{seed}/{index}")
        theme = themes[index % len(themes)]
        yield _Writer(rng, pages, theme).trace(min(length, operations))
        operations -= length
        index += 1


@dataclass
class _Writer:
    """Generates one trace."""

    rng: random.Random
    pages: int
    theme: Theme
    edges: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    parents: dict[int, int] = field(default_factory=dict)

    def trace(self, length: int) -> tuple[Step, ...]:
        self.edges = [self.rng.randrange(self.pages) for _ in range(4)]
        self.names = [*self.rng.sample(_CLOSE_NAMES, 2), self._any_name(), "same"]
        steps = [Step(0, op) for op in self._opening()][:length]
        while len(steps) < length:
            who = self.rng.choice([0, *self.parents])
            steps.append(self._step(who))
        return tuple(steps)

    def _opening(self) -> list[Op]:
        first = Map(0, self.pages, 3)
        if self.theme is Theme.HEAP:
            return [Heap(self.rng.randrange(self.pages))]
        if self.theme is Theme.KINDS:
            return [Map(0, self.pages, 3, self.rng.choice(list(Memory)))]
        return [first]

    def _step(self, who: int) -> Step:
        letter = self.rng.choice(_WEIGHTS[self.theme])
        if letter == "F":
            free = [n for n in range(1, MOST_PROCESSES) if n not in self.parents]
            if free:
                self.parents[free[0]] = who
                return Step(who, Fork(free[0]))
            letter = "N"
        if letter in "Xe":
            if who in self.parents and who not in self.parents.values():
                del self.parents[who]
                return Step(who, Exec() if letter == "e" else Exit())
            letter = "N"
        return Step(who, _DRAW[letter](self))

    def _range(self) -> tuple[int, int]:
        """A first page and a number of pages, often between earlier boundaries."""
        ends = sorted((self._page(), self._page()))
        start, end = ends[0], ends[1] + 1
        if self.rng.random() < 0.35:
            end = min(self.pages, start + self.rng.randint(1, 3))
        self.edges[self.rng.randrange(len(self.edges))] = start
        self.edges[self.rng.randrange(len(self.edges))] = min(end, self.pages - 1)
        return start, end - start

    def _page(self) -> int:
        if self.rng.random() < 0.5:
            near = self.rng.choice(self.edges) + self.rng.choice((-1, 0, 0, 0, 1))
            return max(0, min(self.pages - 1, near))
        return self.rng.randrange(self.pages)

    def _any_name(self) -> str:
        byte = chr(self.rng.randint(1, 255))
        if self.rng.random() < 0.3:
            byte = self.rng.choice(_CRITICAL_BYTES)
        if self.rng.random() < 0.6:
            return byte
        some = "".join(chr(self.rng.randint(32, 126)) for _ in range(12))
        return self.rng.choice([*_LONG, "n" + byte, some, byte * MAX_NAME])

    def _set_name(self) -> Op:
        page, pages = self._range()
        length = pages * PAGE
        draw = self.rng.random()
        if draw < 0.70:
            return SetName(page, length, self.rng.choice(self.names))
        if draw < 0.80:
            return SetName(page, length, Pointer.NULL)
        if draw < 0.92:
            return SetName(page, length, self._any_name())
        any_: list[str | Pointer] = [*self.names, Pointer.BAD, Pointer.NULL]
        name = self.rng.choice(any_)
        offset = self.rng.choice((0, 0, 0, 1, PAGE - 1))
        near = [0, 1, max(0, length - 1 - offset), (1 << 64) - 1,
                (1 << 64) - PAGE, max(0, length - PAGE + 1 - offset)]  # fmt: skip
        length = self.rng.choice([*near, max(0, length - offset)])
        edge = isinstance(name, str) and self.rng.random() < 0.3
        attr = self.rng.choice((0, 0, 0, 0, 1, 1 << 32))
        if edge and self.rng.random() < 0.5:
            name = "e" * self.rng.choice((0, MAX_NAME, MAX_NAME + 1, MAX_NAME + 2))
        return SetName(page, length, name, offset, edge, attr)

    def _map(self) -> Op:
        return self._map_of(Memory.PRIVATE)

    def _map_any(self) -> Op:
        return self._map_of(self.rng.choice(list(Memory)))

    def _map_of(self, memory: Memory) -> Op:
        page, pages = self._range()
        of_file = memory not in (Memory.PRIVATE, Memory.SHARED)
        return Map(
            page, pages, self._prot(), memory,
            noreserve=self.rng.random() < 0.15,
            replace=self.rng.random() < 0.7,
            # Mostly with the file offset that lets it merge with its neighbours.
            from_page=page if of_file and self.rng.random() < 0.8 else 0,
        )  # fmt: skip

    def _unmap(self) -> Op:
        page, pages = self._range()
        return Unmap(page, min(pages, self.rng.randint(1, 4)))

    def _prot(self) -> int:
        return self.rng.choice(_PROTECTIONS)

    def _protect(self) -> Op:
        return Protect(*self._range(), self._prot())

    def _remap(self) -> Op:
        page, pages = self._range()
        pages = min(pages, self.rng.randint(1, 6))
        kind = self.rng.random()
        if kind < 0.3:
            room = self.pages - page
            return Remap(page, pages, self.rng.randint(1, min(room, pages + 4)))
        to = self._page()
        if kind < 0.6:
            pages = min(pages, self.pages - to)
            return Remap(page, pages, pages, to, keep=kind < 0.45)
        return Remap(page, pages, self.rng.randint(1, min(self.pages - to, 6)), to)

    def _advise(self) -> Op:
        return Advise(*self._range(), self.rng.choice(list(Advice)))

    def _write(self) -> Op:
        page, pages = self._range()
        return Write(page, min(pages, self.rng.randint(1, 4)))

    def _back(self) -> Op:
        """An operation on the whole arena: it fills holes or lets VMAs merge again."""
        draw = self.rng.random()
        if draw < 0.3:
            return Map(0, self.pages, 3)
        if draw < 0.6:
            return Protect(0, self.pages, 3)
        return SetName(0, self.pages * PAGE, self.names[0])

    def _clear_above(self) -> Op:
        page = self._page()
        return Unmap(page, self.pages - page)


_DRAW: dict[str, Callable[[_Writer], Op]] = {
    "N": _Writer._set_name, "m": _Writer._map, "M": _Writer._map_any,
    "u": _Writer._unmap, "p": _Writer._protect, "r": _Writer._remap,
    "a": _Writer._advise, "w": _Writer._write, "b": _Writer._back,
    "l": lambda w: Lock(*w._range()), "o": lambda w: Unlock(*w._range()),
    "h": lambda w: Break(w._page()),
    "H": lambda w: Heap(w._page()), "c": _Writer._clear_above,
    "L": lambda w: Limit(w.rng.randint(-2, 7)),
}  # fmt: skip
