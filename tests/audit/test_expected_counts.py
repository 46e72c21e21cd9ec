from dataclasses import replace

import pytest

from harness.audit.expected_counts import (
    ALLOC,
    FREE,
    SlabCounts,
    cell_counts,
    differing_names,
    leak_counts,
)
from harness.audit.vmcore import KernelVma, NameStruct
from harness.model import NameStore, RefcountedStore, StrdupStore
from harness.model.name_memory import NamedVma
from harness.workload import Cell, Layout, NamingScheme, Store
from harness.workload.naming import naming_from_label
from harness.workload.ops import PAGE

START = 0x1000_0000
EMPTY = SlabCounts({96: 100}, {ALLOC: 5, FREE: 5})


def census(objects: int, made: int, freed: int) -> SlabCounts:
    return SlabCounts({96: 100 + objects}, {ALLOC: 5 + made, FREE: 5 + freed})


def cell(naming: NamingScheme) -> Cell:
    return Cell(store=Store.REFCOUNTED, layout=Layout(vmas=10), naming=naming)


def vma(page: int, address: int, references: int, text: bytes = b"n") -> KernelVma:
    start = START + page * PAGE
    return KernelVma(start, start + PAGE, NameStruct(address, references, text))


def held(who: int, page: int, struct: int, references: int) -> NamedVma:
    return NamedVma(who, page, page + 1, b"n", struct, references)


# Two VMAs of one struct and one of its own, in a parent and its child.
EXPECTED = [
    held(0, 1, 0, 4), held(0, 2, 0, 4), held(0, 3, 1, 2),
    held(1, 1, 0, 4), held(1, 2, 0, 4), held(1, 3, 1, 2),
]  # fmt: skip
FOUND = {who: [vma(1, 8, 4), vma(2, 8, 4), vma(3, 16, 2)] for who in (0, 1)}


@pytest.mark.parametrize(
    ("store", "by_fork"), [(RefcountedStore, 0), (StrdupStore, 10)]
)
def test_a_fork_makes_no_struct_or_one_for_each_vma(
    store: type[NameStore], by_fork: int
) -> None:
    freed = 10 if by_fork else 0
    counted = [
        ("begun", EMPTY), ("built", EMPTY), ("named", census(10, 10 + freed, freed)),
        ("fork 1", census(10 + by_fork, 10 + freed + by_fork, freed)),
    ]  # fmt: skip

    model, tables = cell_counts(
        cell(naming_from_label("distinct:79")), 1, store(), counted
    )

    assert [t.step for t in tables] == ["built", "named", "fork 1"]
    assert [words for t in tables for words in t.divergences] == []
    assert sorted(model.mms) == [0, 1]


def test_a_kernel_that_copies_where_it_should_share_is_told() -> None:
    counted = [("begun", EMPTY), ("built", EMPTY), ("named", census(10, 10, 0)),
               ("fork 1", census(200, 20, 0))]  # fmt: skip

    _, tables = cell_counts(
        cell(naming_from_label("distinct:79")), 1, RefcountedStore(), counted
    )

    assert [words for t in tables for words in t.divergences] == [
        "distinct:79, fork 1: structs allocated: expected 0, the kernel has 10",
        "distinct:79, fork 1: objects of 96 bytes: expected 0, the kernel has 190",
    ]


def test_a_struct_that_stays_behind_is_told() -> None:
    store = RefcountedStore()
    store.put(store.alloc(b"x"))

    assert leak_counts("cycles", store, EMPTY, census(0, 1, 1)).divergences == []
    assert leak_counts("cycles", store, EMPTY, census(1, 1, 0)).divergences == [
        "cycles, all: structs freed: expected 1, the kernel has 0"
    ]


def test_the_same_sharing_at_other_addresses_is_no_difference() -> None:
    assert differing_names(EXPECTED, FOUND, START) == ""


@pytest.mark.parametrize(
    ("at", "changed", "words"),
    [
        (1, vma(2, 24, 4), "process 1, pages 2-3 has a struct of its own"),
        (1, vma(2, 8, 3), "should have 4 references, but the kernel has 3"),
        (2, vma(3, 8, 2), "process 1, pages 3-4 shares a struct with a VMA"),
        (2, vma(3, 16, 2, b"m"), "should be named b'n', but the kernel has b'm'"),
        (
            2,
            vma(4, 16, 2),
            "should be the next named VMA, but the kernel has process 1",
        ),
        (2, replace(vma(3, 16, 2), name=None), "6 VMAs should be named, but 5 are"),
    ],
)
def test_the_first_difference_is_told(at: int, changed: KernelVma, words: str) -> None:
    found = {who: list(vmas) for who, vmas in FOUND.items()}
    found[1][at] = changed

    assert words in differing_names(EXPECTED, found, START)
