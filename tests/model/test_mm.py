"""VMAs in order: what is cut, what is joined, what is let go."""

import errno

import pytest

from harness.model import Behaviour, Model, RefcountedStore
from harness.model.mm import Mm, Refused
from harness.model.vma import Join, Vma, can_join
from harness.workload.ops import (
    PAGE,
    Advice,
    Advise,
    Fork,
    Limit,
    Lock,
    Map,
    Memory,
    Op,
    SetName,
    Step,
    Unmap,
    Write,
)
from tests.traces import ruler


def model_of(*ops: Op, behaviour: Behaviour | None = None) -> Model:
    model = Model(behaviour)
    for op in (Map(0, 8, 3), *ops):
        assert model.apply(Step(0, op)) == 0, op
    return model


def mm_of(*ranges: tuple[int, int, bytes | None]) -> Mm:
    mm = Mm(RefcountedStore())
    for start, end, text in ranges:
        name = None if text is None else mm.store.alloc(text)
        mm.insert(Vma(start, end, 3, None, start, name, False))
        mm.store.put(name)
    return mm


def shape(mm: Mm) -> list[tuple[int, int, bytes | None]]:
    return [(v.start, v.end, None if v.name is None else v.name.text) for v in mm.vmas]


@pytest.mark.parametrize(
    ("page", "found", "has"),
    [(0, 0, None), (1, 0, None), (2, 0, 0), (3, 0, 0), (4, 1, None), (5, 1, 1),
     (6, 2, None), (9, 2, None)],
)  # fmt: skip
def test_a_page_is_found_or_what_is_above_it(
    page: int, found: int, has: int | None
) -> None:
    #   0123456
    #   ..Oo.O.
    mm = mm_of((2, 4, None), (5, 6, None))

    assert (mm.find(page), mm.lookup(page)) == (found, has)


def test_a_range_that_is_added_merges_with_both_sides() -> None:
    mm = mm_of((0, 2, b"a"), (4, 6, b"a"))
    name = mm.store.alloc(b"a")

    at = mm.insert(Vma(2, 4, 3, None, 2, name, False))
    mm.store.put(name)

    assert (at, shape(mm)) == (0, [(0, 6, b"a")])
    assert {each.refs for each in mm.store.live} == {1}


def test_a_range_merges_with_none_of_apart_from() -> None:
    mm = mm_of((0, 2, None), (4, 6, None))

    mm.insert(Vma(2, 4, 3, None, 2, None, False), apart_from=[mm.vmas[0]])

    assert shape(mm) == [(0, 2, None), (2, 6, None)]
    assert mm.vmas[1].pgoff == 2


@pytest.mark.parametrize(
    ("op", "after"),
    [
        #              01234567
        (Unmap(0, 2), "..AaaaOo"),
        (Unmap(3, 1), "OoA.AaOo"),
        (Unmap(1, 6), "O......O"),
        (Unmap(0, 8), "........"),
        (Unmap(2, 4), "Oo....Oo"),
    ],
)
def test_what_remains_of_a_vma_keeps_its_name(op: Op, after: str) -> None:
    model = model_of(SetName(2, 4 * PAGE, "a"))

    assert model.apply(Step(0, op)) == 0
    assert ruler(model) == after
    assert sum(each.refs for each in model.store.live) == after.count("A")


def test_nothing_is_unmapped_where_nothing_is() -> None:
    model = model_of(Unmap(2, 2))

    assert model.apply(Step(0, Unmap(2, 2))) == 0
    assert ruler(model) == "Oo..Oooo"


@pytest.mark.parametrize(
    ("op", "code", "after"),
    [
        #                           01234567
        (Unmap(2, 2), errno.ENOMEM, "Oooooooo"),  # a hole: one more VMA
        (Unmap(0, 2), 0, "..Oooooo"),
        (Unmap(6, 2), 0, "Oooooo.."),
    ],
)
def test_only_a_hole_needs_room_at_the_limit(op: Op, code: int, after: str) -> None:
    model = model_of(Limit(0))

    assert model.apply(Step(0, op)) == code
    assert ruler(model) == after


def test_a_part_of_two_vmas_is_unmapped_at_the_limit() -> None:
    model = model_of(SetName(0, 4 * PAGE, "a"), Limit(0))

    assert model.apply(Step(0, Unmap(3, 2))) == 0
    assert ruler(model) == "Aaa..Ooo"


def test_a_child_has_what_its_parent_has_but_for_what_is_not_copied() -> None:
    model = model_of(
        SetName(0, 4 * PAGE, "a"),
        Advise(2, 4, Advice.DONTFORK),
        Advise(7, 1, Advice.WIPEONFORK),
        Write(6, 2),
        Lock(6, 2),
        Fork(1),
    )

    assert ruler(model) == "AaAaOoOO"
    assert ruler(model, 1) == "Aa....OO"
    written, wiped = model.mms[1].vmas[-2:]
    assert (written.faulted, wiped.faulted) == (True, False)
    # Locks are not inherited: memory can be given up.
    assert model.apply(Step(1, Advise(6, 2, Advice.DONTNEED))) == 0
    assert model.apply(Step(0, Advise(6, 2, Advice.DONTNEED))) == errno.EINVAL


def test_what_was_not_copied_can_be_again() -> None:
    model = model_of(Advise(2, 2, Advice.DONTFORK), Advise(0, 8, Advice.DOFORK),
                     Fork(1))  # fmt: skip

    assert ruler(model, 1) == "Oooooooo"


def test_a_child_has_the_limit_of_its_parent() -> None:
    mm = mm_of((0, 2, None))
    mm.limit = 1

    with pytest.raises(Refused, match="ENOMEM"):
        mm.forked().split_within_limit(0, 1)


def test_merges_that_were_seen_are_made() -> None:
    mm = mm_of((0, 2, b"a"), (2, 4, b"b"), (4, 6, b"b"))
    assert shape(mm) == [(0, 2, b"a"), (2, 6, b"b")]
    mm.split(1, 4)
    mm.vmas[2].faulted = True

    mm.settle([4])

    assert shape(mm) == [(0, 2, b"a"), (2, 6, b"b")]
    assert mm.vmas[1].faulted
    assert sorted(each.refs for each in mm.store.live) == [1, 1]


def vma(start: int = 2, *, name: bytes | None = None, flags: int = 3,
        pgoff: int | None = None, faulted: bool = False) -> Vma:  # fmt: skip
    text = None if name is None else RefcountedStore().alloc(name)
    at = start if pgoff is None else pgoff
    return Vma(start, start + 2, flags, None, at, text, faulted)


@pytest.mark.parametrize(
    ("right", "join"),
    [
        (vma(4), Join.NO),
        (vma(4, name=b""), Join.NO),
        (vma(4, name=b"b"), Join.NO),
        (vma(4, name=b"a"), Join.YES),
        (vma(4, name=b"a", flags=1), Join.NO),
        (vma(4, name=b"a", pgoff=5), Join.NO),
        (vma(4, name=b"a", faulted=True), Join.MAYBE),
        (vma(4, name=b"b", faulted=True), Join.NO),
    ],
)
def test_neighbours_are_one_when_all_of_them_is_equal(right: Vma, join: Join) -> None:
    assert can_join(vma(2, name=b"a"), right) is join


def test_an_empty_name_is_not_no_name() -> None:
    assert can_join(vma(2, name=b""), vma(4)) is Join.NO
    assert can_join(vma(2, name=b""), vma(4, name=b"")) is Join.YES
    assert can_join(vma(2), vma(4)) is Join.YES


@pytest.mark.parametrize(
    ("memory", "from_page", "after"),
    [
        #                                 01234567
        (Memory.MEMFD, 2,                "FfffOooo"),
        (Memory.MEMFD, 0,                "FfFfOooo"),  # not the next of its pages
        (Memory.FILE, 2,                 "FfffOooo"),
        (Memory.SHARED, 0,               "FfFfOooo"),  # two files
    ],
)  # fmt: skip
def test_files_merge_where_their_pages_follow(
    memory: Memory, from_page: int, after: str
) -> None:
    model = model_of(Map(0, 2, 3, memory), Map(2, 2, 3, memory, from_page=from_page))

    assert ruler(model) == after
