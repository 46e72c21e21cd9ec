"""Processes, and what maps shows of them."""

import errno

import pytest

from harness.model import Behaviour, Model, Shown, StrdupStore
from harness.model.process import perms_of
from harness.workload.ops import (
    PAGE,
    Break,
    Exec,
    Exit,
    Fork,
    Heap,
    Limit,
    Map,
    Memory,
    Op,
    SetName,
    Step,
    Unmap,
)
from tests.traces import ruler


def model_of(*ops: Op, behaviour: Behaviour | None = None) -> Model:
    model = Model(behaviour)
    for op in ops:
        assert model.apply(Step(0, op)) == 0, op
    return model


def test_a_child_shares_the_structs_and_renames_alone() -> None:
    model = model_of(Map(0, 4, 3), SetName(0, 4 * PAGE, "a"), Fork(1))
    (shared,) = model.store.live
    assert shared.refs == 2

    assert model.apply(Step(1, SetName(0, 4 * PAGE, "b"))) == 0

    assert (ruler(model), ruler(model, 1)) == ("Aaaa....", "Bbbb....")
    assert sorted(each.refs for each in model.store.live) == [1, 1]


@pytest.mark.parametrize("op", [Exit(), Exec()])
def test_who_leaves_takes_its_names_along(op: Op) -> None:
    model = model_of(Map(0, 4, 3), SetName(0, 4 * PAGE, "a"), Fork(1))

    assert model.apply(Step(1, op)) == 0

    assert list(model.mms) == [0]
    assert [each.refs for each in model.store.live] == [1]


def test_a_number_can_be_another_process_later() -> None:
    model = model_of(Map(0, 4, 3), Fork(1))
    model.apply(Step(1, SetName(0, PAGE, "a")))
    model.apply(Step(1, Exit()))

    assert model.apply(Step(0, Fork(1))) == 0
    assert ruler(model, 1) == "Oooo...."


def test_a_limit_is_for_all_processes() -> None:
    model = model_of(Map(0, 4, 3), Fork(1))

    model.apply(Step(0, Limit(0)))

    assert model.apply(Step(1, Unmap(1, 1))) == errno.ENOMEM


@pytest.mark.parametrize(
    ("op", "shown"),
    [
        (Map(1, 2, 0), Shown(1, 3, "---p", 0, "")),
        (Map(1, 2, 7, noreserve=True), Shown(1, 3, "rwxp", 0, "")),
        (Map(1, 2, 3, Memory.SHARED), Shown(1, 3, "rw-s", 0, "/dev/zero (deleted)")),
        (
            Map(1, 2, 1, Memory.MEMFD, from_page=4),
            Shown(1, 3, "r--s", 4, "/memfd:harness (deleted)"),
        ),
        (
            Map(1, 2, 1, Memory.MEMFD_PRIVATE),
            Shown(1, 3, "r--p", 0, "/memfd:harness (deleted)"),
        ),
        (Map(1, 2, 5, Memory.FILE, from_page=1), Shown(1, 3, "r-xs", 1, "/file")),
        (Map(1, 2, 2, Memory.FILE_PRIVATE), Shown(1, 3, "-w-p", 0, "/file")),
    ],
)
def test_maps_shows_what_is_mapped(op: Op, shown: Shown) -> None:
    assert list(model_of(op).shown(0)) == [shown]


@pytest.mark.parametrize(
    ("strict", "after"),
    [
        #        01234567
        (True, ".AHhBb.."),
        (False, ".HHhHh.."),
    ],
)
def test_what_touches_the_heap_is_shown_as_it_or_not(strict: bool, after: str) -> None:
    model = model_of(
        Heap(2), Break(4), Map(1, 1, 1), SetName(1, PAGE, "a"),
        Map(4, 2, 1), SetName(4, 2 * PAGE, "b"),
        behaviour=Behaviour(heap_strict=strict),
    )  # fmt: skip

    assert ruler(model) == after


@pytest.mark.parametrize(("strict", "path"), [(True, "[anon:a]"), (False, "[heap]")])
def test_memory_at_an_empty_heap(strict: bool, path: str) -> None:
    model = model_of(Heap(2), Map(2, 1, 1), SetName(2, PAGE, "a"),
                     behaviour=Behaviour(heap_strict=strict))  # fmt: skip

    assert [each.path for each in model.shown(0)] == [path]


def test_memory_around_an_empty_heap_is_shown_as_it() -> None:
    model = model_of(Map(0, 4, 3), SetName(0, 4 * PAGE, "a"), Heap(2))

    assert ruler(model) == "Hhhh...."


def test_the_letters_of_maps() -> None:
    assert [perms_of(flags) for flags in (0, 1, 2, 4, 7, 15)] == [
        "---p", "r--p", "-w-p", "--xp", "rwxp", "rwxs",
    ]  # fmt: skip


def test_the_store_is_the_one_that_was_given() -> None:
    store = StrdupStore()
    model = Model(store=store)

    model.apply(Step(0, Map(0, 4, 3)))
    model.apply(Step(0, SetName(0, 4 * PAGE, "a")))
    model.apply(Step(0, Fork(1)))

    assert len(store.live) == 2
