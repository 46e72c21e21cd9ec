"""What the model says a kernel allocates and shares, beside what the kernel did."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.model import Model, NameStore
from harness.model.name_memory import NamedVma, memory_of_names
from harness.workload import Cell
from harness.workload.layout_steps import layout_steps
from harness.workload.ops import PAGE, Fork, SetName, Step

if TYPE_CHECKING:
    from harness.audit.vmcore import KernelVma

# include/linux/mm_inline.h, mm/madvise.c: these make and free every name struct.
ALLOC, FREE = "anon_vma_name_alloc", "anon_vma_name_free"
ALLOCATED, FREED = "allocated", "freed"


@dataclass(frozen=True, slots=True)
class SlabCounts:
    """The kernel's counters: objects in use by slab class, calls by function."""

    objects: Mapping[int, int]
    calls: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One number: ``what`` (allocated, freed, or a slab class in bytes), both sides.

    An object count may be off by a slab: the kernel has objects of the class for
    other purposes.
    """

    what: str | int
    predicted: int
    counted: int

    @property
    def agrees(self) -> bool:
        """Whether the kernel did what was predicted."""
        slack = 4096 // self.what if isinstance(self.what, int) else 0
        return abs(self.predicted - self.counted) <= slack

    @property
    def title(self) -> str:
        """What was counted, in words."""
        if isinstance(self.what, int):
            return f"objects of {self.what} bytes"
        return f"structs {self.what}"


@dataclass(frozen=True, slots=True)
class Balance:
    """What changed with one step of ``what``, a cell's label, cycles or traces."""

    what: str
    step: str
    entries: tuple[Entry, ...]

    @property
    def divergences(self) -> list[str]:
        """A sentence for each number that differs."""
        return [
            f"{self.what}, {self.step}: {entry.title}: expected {entry.predicted}, "
            f"the kernel has {entry.counted}"
            for entry in self.entries
            if not entry.agrees
        ]


def cell_balances(
    cell: Cell,
    children: int,
    store: NameStore,
    counted: Sequence[tuple[str, SlabCounts]],
) -> tuple[Model, list[Balance]]:
    """A cell, step by step, and the model at its end.

    ``counted`` are the censuses before the first step and after each.
    """
    model = Model(store=store)
    steps = layout_steps(cell.layout, cell.naming)
    named = [step for step in steps if isinstance(step.op, SetName)]
    groups = [[step for step in steps if not isinstance(step.op, SetName)]]
    if named:
        groups.append(named)
    groups += [[Step(0, Fork(number))] for number in range(1, children + 1)]
    balances = []
    before = counted[0][1]
    for group, (word, after) in zip(groups, counted[1:], strict=True):
        state = _state([store], before.objects)
        for step in group:
            code = model.apply(step)
            assert code == 0, (step, code)
        predicted = _change(state, _state([store], before.objects))
        balances.append(_balance(cell.naming.label, word, predicted, before, after))
        before = after
    return model, balances


def leak_balance(
    what: str, store: NameStore, before: SlabCounts, after: SlabCounts
) -> Balance:
    """A trace whose processes have ended: what it took of memory is free again."""
    return _balance(what, "all", _state([store], before.objects), before, after)


def calls_balance(
    what: str, stores: Iterable[NameStore], before: SlabCounts, after: SlabCounts
) -> Balance:
    """Many traces at once, each with the store of its model, from none at all.

    Calls only: what else the processes of traces have (pipes, files) is in the same
    slab classes.
    """
    calls = replace(before, objects={}), replace(after, objects={})
    return _balance(what, "all", _state(stores, ()), *calls)


def _state(stores: Iterable[NameStore], classes: Iterable[int]) -> dict[str | int, int]:
    sizes = tuple(classes)
    total: dict[str | int, int] = {ALLOCATED: 0, FREED: 0, **dict.fromkeys(sizes, 0)}
    for store in stores:
        total[ALLOCATED] += store.allocated
        total[FREED] += store.allocated - len(store.live)
        if sizes:
            for size, count in memory_of_names(store, sizes).objects.items():
                total[size] += count
    return total


def _change(
    before: Mapping[str | int, int], after: Mapping[str | int, int]
) -> dict[str | int, int]:
    return {what: after[what] - before[what] for what in after}


def _balance(
    what: str,
    step: str,
    predicted: Mapping[str | int, int],
    before: SlabCounts,
    after: SlabCounts,
) -> Balance:
    counted: dict[str | int, int] = {
        ALLOCATED: after.calls[ALLOC] - before.calls[ALLOC],
        FREED: after.calls[FREE] - before.calls[FREE],
    }
    for size in after.objects:
        counted[size] = after.objects[size] - before.objects[size]
    entries = (Entry(key, predicted[key], counted[key]) for key in predicted)
    return Balance(what, step, tuple(entries))


def differing_names(
    expected: Sequence[NamedVma], seen: Mapping[int, "Sequence[KernelVma]"], start: int
) -> str:
    """The first VMA whose name the kernel keeps otherwise; empty where none.

    ``seen`` are each process's VMAs in the arena at ``start``. Two VMAs must share
    a struct where the model says so, and only there.
    """
    found = [
        (who, vma) for who, vmas in sorted(seen.items()) for vma in vmas if vma.name
    ]
    address_of: dict[int, int] = {}
    number_of: dict[int, int] = {}
    for held, (who, vma) in zip(expected, found, strict=False):
        where = f"process {held.who}, pages {held.start}-{held.end}"
        assert vma.name is not None
        place = (who, (vma.start - start) // PAGE, (vma.end - start) // PAGE)
        if place != (held.who, held.start, held.end):
            return (
                f"{where} should be the next named VMA, the kernel has process "
                f"{place[0]}, pages {place[1]}-{place[2]}"
            )
        if vma.name.text != held.text:
            return f"{where} should be {held.text!r}, the kernel has {vma.name.text!r}"
        if vma.name.references != held.references:
            return (
                f"{where}: its struct should have {held.references} references, "
                f"the kernel has {vma.name.references}"
            )
        address = address_of.setdefault(held.struct, vma.name.address)
        if number_of.setdefault(vma.name.address, held.struct) != held.struct:
            return f"{where} shares its struct with a VMA that it should not share with"
        if address != vma.name.address:
            return f"{where} has a struct of its own and should share one"
    if len(found) != len(expected):
        return f"{len(expected)} VMAs should be named, {len(found)} are"
    return ""
