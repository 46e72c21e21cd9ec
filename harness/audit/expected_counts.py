"""Compares the model's predictions of allocating and sharing with the kernel's."""

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

# include/linux/mm_inline.h, mm/madvise.c: these two functions make and free every
# name struct.
ALLOC, FREE = "anon_vma_name_alloc", "anon_vma_name_free"
ALLOCATED, FREED = "allocated", "freed"


@dataclass(frozen=True, slots=True)
class SlabCounts:
    """The kernel's counters: objects in use by slab class, calls by function."""

    objects: Mapping[int, int]
    calls: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One number, as predicted and as counted.

    ``what`` is ``allocated``, ``freed``, or a slab class in bytes. A count of
    objects may differ by up to 4 KiB of objects: the kernel uses the same slab
    class for other purposes too.
    """

    what: str | int
    predicted: int
    counted: int

    @property
    def agrees(self) -> bool:
        """Whether the counted number is the predicted one."""
        slack = 4096 // self.what if isinstance(self.what, int) else 0
        return abs(self.predicted - self.counted) <= slack

    @property
    def title(self) -> str:
        """What was counted, in words."""
        if isinstance(self.what, int):
            return f"objects of {self.what} bytes"
        return f"structs {self.what}"


@dataclass(frozen=True, slots=True)
class CountTable:
    """The numbers that one step changed.

    ``what`` is a cell's label, ``cycles`` or ``traces``.
    """

    what: str
    step: str
    entries: tuple[Entry, ...]

    @property
    def divergences(self) -> list[str]:
        """One sentence for each number that differs."""
        return [
            f"{self.what}, {self.step}: {entry.title}: expected {entry.predicted}, "
            f"the kernel has {entry.counted}"
            for entry in self.entries
            if not entry.agrees
        ]


def cell_counts(
    cell: Cell,
    children: int,
    store: NameStore,
    counted: Sequence[tuple[str, SlabCounts]],
) -> tuple[Model, list[CountTable]]:
    """The model after all steps of a cell, and the numbers of each step.

    ``counted`` has the kernel's counters before the first step and after each step.
    """
    model = Model(store=store)
    steps = layout_steps(cell.layout, cell.naming)
    named = [step for step in steps if isinstance(step.op, SetName)]
    groups = [[step for step in steps if not isinstance(step.op, SetName)]]
    if named:
        groups.append(named)
    groups += [[Step(0, Fork(number))] for number in range(1, children + 1)]
    tables = []
    before = counted[0][1]
    for group, (word, after) in zip(groups, counted[1:], strict=True):
        state = _state([store], before.objects)
        for step in group:
            code = model.apply(step)
            assert code == 0, (step, code)
        predicted = _change(state, _state([store], before.objects))
        tables.append(_count_table(cell.naming.label, word, predicted, before, after))
        before = after
    return model, tables


def leak_counts(
    what: str, store: NameStore, before: SlabCounts, after: SlabCounts
) -> CountTable:
    """The numbers of a trace whose processes have ended.

    The kernel must have freed all the memory that the trace allocated.
    """
    return _count_table(what, "all", _state([store], before.objects), before, after)


def call_counts(
    what: str, stores: Iterable[NameStore], before: SlabCounts, after: SlabCounts
) -> CountTable:
    """The calls that many traces made; ``stores`` has the store of each model.

    Objects are not compared: the processes of the traces also have pipes and files,
    and these are in the same slab classes.
    """
    calls = replace(before, objects={}), replace(after, objects={})
    return _count_table(what, "all", _state(stores, ()), *calls)


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


def _count_table(
    what: str,
    step: str,
    predicted: Mapping[str | int, int],
    before: SlabCounts,
    after: SlabCounts,
) -> CountTable:
    counted: dict[str | int, int] = {
        ALLOCATED: after.calls[ALLOC] - before.calls[ALLOC],
        FREED: after.calls[FREE] - before.calls[FREE],
    }
    for size in after.objects:
        counted[size] = after.objects[size] - before.objects[size]
    entries = (Entry(key, predicted[key], counted[key]) for key in predicted)
    return CountTable(what, step, tuple(entries))


def differing_names(
    expected: Sequence[NamedVma], seen: Mapping[int, "Sequence[KernelVma]"], start: int
) -> str:
    """A sentence about the first VMA whose name differs; empty if none does.

    ``seen`` has the VMAs of each process in the arena at ``start``. Two VMAs must
    share a struct exactly when they share one in the model.
    """
    found = [
        (who, vma) for who, vmas in sorted(seen.items()) for vma in vmas if vma.name
    ]
    address_of: dict[int, int] = {}
    number_of: dict[int, int] = {}
    for each, (who, vma) in zip(expected, found, strict=False):
        where = f"process {each.who}, pages {each.start}-{each.end}"
        assert vma.name is not None
        place = (who, (vma.start - start) // PAGE, (vma.end - start) // PAGE)
        if place != (each.who, each.start, each.end):
            return (
                f"{where} should be the next named VMA, but the kernel has process "
                f"{place[0]}, pages {place[1]}-{place[2]}"
            )
        if vma.name.text != each.text:
            return (
                f"{where} should be named {each.text!r}, but the kernel has "
                f"{vma.name.text!r}"
            )
        if vma.name.references != each.references:
            return (
                f"{where}: its struct should have {each.references} references, "
                f"but the kernel has {vma.name.references}"
            )
        address = address_of.setdefault(each.struct, vma.name.address)
        if number_of.setdefault(vma.name.address, each.struct) != each.struct:
            return f"{where} shares a struct with a VMA that should have another one"
        if address != vma.name.address:
            return f"{where} has a struct of its own, but should share one"
    if len(found) != len(expected):
        return f"{len(expected)} VMAs should be named, but {len(found)} are"
    return ""
