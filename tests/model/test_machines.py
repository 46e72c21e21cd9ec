"""Hypothesis drives the model: against a page list, store against store, recounts."""

import errno
from collections import Counter
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from harness.model import Model, RefcountedStore, StrdupStore
from harness.model.names import NameStore
from harness.workload.ops import (
    PAGE,
    Advice,
    Advise,
    Exit,
    Fork,
    Map,
    Memory,
    Op,
    Pointer,
    Protect,
    Remap,
    SetName,
    Step,
    Unmap,
    Write,
)

PAGES = 12
NAMES = ["", "a", "b", "ab"]
PROTS = [0, 1, 3]

starts = st.integers(0, PAGES - 1)
names = st.sampled_from([*NAMES, Pointer.NULL])


@st.composite
def ranges(draw: st.DrawFn) -> tuple[int, int]:
    """A first page and how many."""
    first = draw(starts)
    return first, draw(st.integers(1, PAGES - first))


@dataclass(frozen=True)
class Cell:
    """What a page of the page list has."""

    prot: int
    name: bytes | None
    shared: bool
    kept_at_fork: bool = True


class _Processes(RuleBasedStateMachine):
    """Draws steps of up to three processes and gives each to ``do``."""

    def __init__(self) -> None:
        super().__init__()
        self.parents: dict[int, int] = {}

    def do(self, step: Step) -> None:
        raise NotImplementedError

    def _who(self, draw: int) -> int:
        alive = [0, *self.parents]
        return alive[draw % len(alive)]

    @initialize()
    def something_is_mapped(self) -> None:
        self.do(Step(0, Map(0, PAGES, 3)))

    @rule(who=st.integers(0, 2), where=ranges(), name=names)
    def set_name(self, who: int, where: tuple[int, int], name: str | Pointer) -> None:
        self.do(Step(self._who(who), SetName(where[0], where[1] * PAGE, name)))

    @rule(
        who=st.integers(0, 2), where=ranges(), prot=st.sampled_from(PROTS),
        memory=st.sampled_from([Memory.PRIVATE, Memory.SHARED]), replace=st.booleans(),
    )  # fmt: skip
    def map_(
        self, who: int, where: tuple[int, int], prot: int, memory: Memory, replace: bool
    ) -> None:
        self.do(Step(self._who(who), Map(*where, prot, memory, replace=replace)))

    @rule(who=st.integers(0, 2), where=ranges())
    def unmap(self, who: int, where: tuple[int, int]) -> None:
        self.do(Step(self._who(who), Unmap(*where)))

    @rule(who=st.integers(0, 2), where=ranges(), prot=st.sampled_from(PROTS))
    def protect(self, who: int, where: tuple[int, int], prot: int) -> None:
        self.do(Step(self._who(who), Protect(*where, prot)))

    @rule(
        who=st.integers(0, 2), where=ranges(),
        advice=st.sampled_from([Advice.DONTFORK, Advice.DOFORK]),
    )  # fmt: skip
    def advise(self, who: int, where: tuple[int, int], advice: Advice) -> None:
        self.do(Step(self._who(who), Advise(*where, advice)))

    @precondition(lambda self: len(self.parents) < 2)
    @rule(who=st.integers(0, 2))
    def fork(self, who: int) -> None:
        child = min({1, 2} - self.parents.keys())
        parent = self._who(who)
        self.do(Step(parent, Fork(child)))
        self.parents[child] = parent

    @precondition(lambda self: self.parents)
    @rule()
    def exit(self) -> None:
        leaf = next(p for p in self.parents if p not in self.parents.values())
        del self.parents[leaf]
        self.do(Step(leaf, Exit()))


class AgainstAPageList(_Processes):
    """Content: what each page is, by a list of pages that knows no VMAs."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.pages: dict[int, list[Cell | None]] = {0: [None] * PAGES}

    def do(self, step: Step) -> None:
        assert self.model.apply(step) == self._apply(step)
        for who, pages in self.pages.items():
            seen: list[Cell | None] = [None] * PAGES
            for vma in self.model.mms[who].vmas:
                text = None if vma.name is None else vma.name.text
                cell = Cell(
                    vma.flags & 7, text, vma.file is not None, not vma.flags & 0x80
                )
                seen[vma.start : vma.end] = [cell] * (vma.end - vma.start)
            assert seen == pages

    def _apply(self, step: Step) -> int:
        pages = self.pages[step.who]
        match step.op:
            case Fork(child):
                self.pages[child] = [c if c and c.kept_at_fork else None for c in pages]
                return 0
            case Exit():
                del self.pages[step.who]
                return 0
            case Map(page, count, prot, memory, _, replace):
                part = slice(page, page + count)
                if not replace and any(pages[part]):
                    return errno.EEXIST
                pages[part] = [Cell(prot, None, memory is Memory.SHARED)] * count
                return 0
            case Unmap(page, count):
                pages[page : page + count] = [None] * count
                return 0
        return self._change(pages, step.op)

    def _change(self, pages: list[Cell | None], op: Op) -> int:
        match op:
            case SetName(page, length, name):
                text = None if isinstance(name, Pointer) else name.encode()
                return self._walk(pages, page, length // PAGE, name=text)
            case Advise(page, count, advice):
                return self._walk(
                    pages, page, count, kept_at_fork=advice is Advice.DOFORK
                )
            case Protect(page, count, prot):
                for at in range(page, page + count):
                    cell = pages[at]
                    if cell is None:
                        return errno.ENOMEM
                    pages[at] = Cell(prot, cell.name, cell.shared, cell.kept_at_fork)
                return 0
        raise AssertionError(op)

    def _walk(
        self, pages: list[Cell | None], page: int, count: int, **change: object
    ) -> int:
        hole = False
        for at in range(page, page + count):
            cell = pages[at]
            if cell is None:
                hole = True
            else:
                pages[at] = Cell(**{**vars(cell), **change})
        return errno.ENOMEM if hole else 0


class StoreAgainstStore(_Processes):
    """Nothing that a process can see tells how names are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = Model(store=RefcountedStore())
        self.copied = Model(store=StrdupStore())

    def do(self, step: Step) -> None:
        assert self.shared.apply(step) == self.copied.apply(step)
        for who in self.shared.mms:
            assert list(self.shared.shown(who)) == list(self.copied.shown(who))
        assert len(self.copied.store.live) >= len(self.shared.store.live)

    @rule(where=ranges(), to=starts, keep=st.booleans())
    def move(self, where: tuple[int, int], to: int, keep: bool) -> None:
        pages = min(where[1], PAGES - to)
        self.do(Step(0, Remap(where[0], pages, pages, to, keep)))

    @rule(where=ranges())
    def write(self, where: tuple[int, int]) -> None:
        self.do(Step(0, Write(*where)))


class Recount(_Processes):
    """Every reference is a VMA's, and what nothing refers to is gone."""

    store: type[NameStore] = RefcountedStore

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(store=self.store())

    def do(self, step: Step) -> None:
        self.model.apply(step)

    @invariant()
    def counts_are_those_of_a_recount(self) -> None:
        found = Counter(
            id(vma.name)
            for mm in self.model.mms.values()
            for vma in mm.vmas
            if vma.name is not None
        )
        assert found == {id(name): name.refs for name in self.model.store.live}

    @invariant()
    def vmas_are_in_order(self) -> None:
        for mm in self.model.mms.values():
            assert mm.starts == [vma.start for vma in mm.vmas]
            ends = [0, *(vma.end for vma in mm.vmas)]
            assert all(
                end <= vma.start for end, vma in zip(ends, mm.vmas, strict=False)
            )
            assert all(vma.start < vma.end for vma in mm.vmas)

    def teardown(self) -> None:
        for mm in self.model.mms.values():
            mm.clear()
        assert not self.model.store.live


class RecountOfCopies(Recount):
    """The same where every VMA has a struct of its own."""

    store = StrdupStore

    @invariant()
    def nothing_is_shared(self) -> None:
        assert all(name.refs == 1 for name in self.model.store.live)


LIMITS = settings(max_examples=100, stateful_step_count=30)

TestAgainstAPageList = AgainstAPageList.TestCase
TestAgainstAPageList.settings = LIMITS
TestStoreAgainstStore = StoreAgainstStore.TestCase
TestStoreAgainstStore.settings = LIMITS
TestRecount = Recount.TestCase
TestRecount.settings = LIMITS
TestRecountOfCopies = RecountOfCopies.TestCase
TestRecountOfCopies.settings = LIMITS
