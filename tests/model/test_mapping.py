"""mmap, mremap and brk: where memory is, and what name it has there."""

import errno

import pytest

from harness.model import Behaviour, Model
from harness.workload.ops import (
    PAGE,
    Break,
    Fork,
    Heap,
    Limit,
    Lock,
    Map,
    Memory,
    Op,
    Protect,
    Remap,
    SetName,
    Step,
    Unmap,
    Write,
)
from tests.traces import ruler


def model_of(*ops: Op, behaviour: Behaviour | None = None) -> Model:
    """What succeeds, from an empty arena."""
    model = Model(behaviour)
    for op in ops:
        assert model.apply(Step(0, op)) == 0, op
    return model


def do(model: Model, op: Op) -> int:
    return model.apply(Step(0, op))


ALL = Map(0, 8, 3)
NAMED = SetName(0, 4 * PAGE, "a")


def test_new_memory_has_no_name_and_merges_with_what_has_none() -> None:
    model = model_of(Map(0, 2, 3), SetName(0, 2 * PAGE, "a"), Map(4, 2, 3))

    assert do(model, Map(2, 2, 3)) == 0
    assert ruler(model) == "AaOooo.."


def test_memory_that_must_not_be_replaced_is_not() -> None:
    model = model_of(Map(0, 2, 3), SetName(0, 2 * PAGE, "a"))

    assert do(model, Map(1, 3, 3, replace=False)) == errno.EEXIST
    assert do(model, Map(2, 2, 3, replace=False)) == 0
    assert ruler(model) == "AaOo...."


def test_each_shared_mapping_is_a_file_of_its_own_until_it_is_named() -> None:
    model = model_of(Map(0, 1, 3, Memory.SHARED), Map(1, 1, 3, Memory.SHARED))

    assert [each.path for each in model.shown(0)] == ["/dev/zero (deleted)"] * 2
    assert do(model, SetName(0, 2 * PAGE, "s")) == 0
    assert ruler(model) == "SS......"


def test_the_limit_can_be_passed_by_one_with_mmap() -> None:
    #   01234567
    #   O.O.O...   one more than may be
    model = model_of(Map(0, 1, 3), Map(2, 1, 3), Limit(0))

    assert do(model, Map(4, 1, 3)) == 0
    assert do(model, Map(6, 1, 3)) == errno.ENOMEM
    assert ruler(model) == "O.O.O..."


def test_mmap_over_the_middle_of_a_vma_at_the_limit_is_refused() -> None:
    model = model_of(ALL, Limit(0))

    assert do(model, Map(2, 2, 1)) == errno.ENOMEM
    assert do(model, Map(0, 2, 1)) == 0
    assert ruler(model) == "OoOooooo"


@pytest.mark.parametrize(
    ("op", "after"),
    [
        #                              01234567
        (Remap(0, 4, 2),              "Aa......"),
        (Remap(0, 4, 4),              "Aaaa...."),
        (Remap(0, 4, 6),              "Aaaaaa.."),
        (Remap(0, 4, 4, 4),           "....Aaaa"),
        (Remap(1, 2, 2, 6),           "A..A..Aa"),
        (Remap(0, 4, 1, 4),           "....A..."),
        (Remap(1, 1, 3, 5),           "A.Aa.Aaa"),
        (Remap(1, 2, 2, 6, keep=True), "Aaaa..Aa"),
        # a copy does not merge with what it is of
        (Remap(2, 2, 2, 4, keep=True), "AaaaAa.."),
        (Remap(0, 4, 4, 4, keep=True), "AaaaAaaa"),
    ],
)  # fmt: skip
def test_a_name_goes_where_its_memory_goes(op: Op, after: str) -> None:
    model = model_of(Map(0, 4, 3), NAMED)

    assert do(model, op) == 0
    assert ruler(model) == after


def test_what_is_moved_merges_where_it_comes_to_lie() -> None:
    #   01234567
    #   A.O.Aa..
    model = model_of(Map(0, 1, 3), Map(2, 1, 3), Map(4, 2, 3),
                     SetName(0, PAGE, "a"), SetName(4, 2 * PAGE, "a"))  # fmt: skip

    assert do(model, Remap(0, 1, 1, 6)) == 0
    assert ruler(model) == "..O.Aaa."


def test_what_grows_up_to_its_like_merges_with_it() -> None:
    model = model_of(ALL, Unmap(2, 2))

    assert do(model, Remap(0, 2, 4)) == 0
    assert ruler(model) == "Oooooooo"


@pytest.mark.parametrize(("keeps_apart", "after"), [(False, "AAaa...."),
                                                    (True, "AAAa....")])  # fmt: skip
def test_a_kept_source_may_keep_its_copy_from_all(
    keeps_apart: bool, after: str
) -> None:
    #   01234567
    #   A.Aa....   0 is copied to 1: between what it is of, and its like
    model = model_of(Map(0, 4, 3), NAMED, Unmap(1, 1),
                     behaviour=Behaviour(keeps_apart=keeps_apart))  # fmt: skip

    assert do(model, Remap(0, 1, 1, 1, keep=True)) == 0
    assert ruler(model) == after


@pytest.mark.parametrize(
    ("op", "code", "after"),
    [
        #                                              01234567
        (Remap(4, 1, 1), errno.EFAULT,                "AaaaBb.."),  # will be a hole
        (Remap(3, 2, 3), errno.EFAULT,                "AaaaBb.."),  # of two VMAs
        (Remap(2, 2, 3), errno.ENOMEM,                "AaaaBb.."),  # no room
        (Remap(1, 1, 2), errno.ENOMEM,                "AaaaBb.."),  # not at its end
        (Remap(0, 2, 3, 6, keep=True), errno.EINVAL,  "AaaaBb.."),
        (Remap(0, 2, 2, 1), errno.EINVAL,             "AaaaBb.."),  # over itself
        # its place is cleared first
        (Remap(3, 2, 2, 0), errno.EFAULT,             "..aaBb.."),
        # and what is too much of it is gone
        (Remap(3, 3, 2, 0), errno.EFAULT,             "..aaB..."),
    ],
)  # fmt: skip
def test_what_cannot_be_moved(op: Op, code: int, after: str) -> None:
    model = model_of(Map(0, 6, 3), NAMED, SetName(4, 2 * PAGE, "b"))
    if op == Remap(4, 1, 1):
        assert do(model, Unmap(4, 1)) == 0
        after = "Aaaa.B.."

    assert do(model, op) == code
    assert ruler(model) == after.replace("..aa", "..Aa")


@pytest.mark.parametrize(
    ("room", "code", "after"),
    [
        # two more and three less than may be: nothing is done
        (5, errno.ENOMEM, "Aaaa...."),
        (6, 0, "..Aa..Aa"),
    ],
)
def test_mremap_needs_room_below_the_limit(room: int, code: int, after: str) -> None:
    model = model_of(Map(0, 4, 3), NAMED, Limit(room))

    assert do(model, Remap(0, 2, 2, 6)) == code
    assert ruler(model) == after


def test_a_copy_of_written_memory_leaves_nothing_behind() -> None:
    model = model_of(Map(0, 2, 3), Write(0, 2), Remap(0, 2, 2, 4, keep=True))

    source, copy = model.mms[0].vmas
    assert (source.faulted, copy.faulted) == (False, True)


def test_locked_memory_is_cut_out_before_it_is_copied() -> None:
    model = model_of(Map(0, 4, 3, Memory.SHARED), Lock(0, 4),
                     Remap(1, 1, 1, 6, keep=True))  # fmt: skip

    assert ruler(model) == "FFFf..F."


def test_what_is_moved_beyond_its_file_is_of_the_file_still() -> None:
    model = model_of(Map(0, 1, 3, Memory.SHARED), Remap(0, 1, 3, 4))

    assert ruler(model) == "....Fff."
    assert do(model, Write(4, 3)) == errno.EFAULT
    assert do(model, Write(4, 1)) == 0


def test_a_break_makes_a_heap_and_takes_it_back() -> None:
    model = model_of(Heap(2))

    assert do(model, Break(5)) == 0
    assert ruler(model) == "..Hhh..."
    assert do(model, Break(3)) == 0
    assert do(model, Break(3)) == 0
    assert ruler(model) == "..H....."


def test_a_heap_that_was_named_grows_in_a_vma_of_its_own() -> None:
    model = model_of(Heap(2), Break(4), SetName(2, 2 * PAGE, "a"))

    assert do(model, Break(6)) == 0
    assert ruler(model) == "..HhHh.."
    # Its name is there, but not shown.
    assert model.mms[0].vmas[0].name is not None


@pytest.mark.parametrize(
    "ops",
    [
        (),
        (Heap(4),),  # below its start
        (Map(2, 2, 3), Heap(0), Break(1), Map(1, 2, 3)),  # something is there
        (Heap(0), Map(2, 1, 3)),  # no page is left to what is above
    ],
)
def test_a_break_that_cannot_be_leaves_it_where_it_was(ops: tuple[Op, ...]) -> None:
    model = model_of(*ops)
    mm = model.mms[0]
    before = mm.brk, ruler(model)

    assert do(model, Break(2)) == errno.ENOMEM
    assert (mm.brk, ruler(model)) == before


def test_a_break_into_what_was_unmapped_is_refused() -> None:
    model = model_of(Heap(0), Break(4), Unmap(0, 8))

    assert do(model, Break(2)) == errno.ENOMEM


def test_a_break_past_the_limit_is_refused_and_one_at_it_is_not() -> None:
    model = model_of(Map(7, 1, 3), Heap(0), Limit(0))

    assert do(model, Break(2)) == 0
    assert do(model, Protect(0, 1, 1)) == errno.ENOMEM
    assert do(model, Break(4)) == errno.ENOMEM


def test_a_written_heap_grows_maybe_into_one() -> None:
    model = model_of(Heap(0), Break(2), Write(0, 1))

    assert do(model, Break(4)) == 0
    assert model.mms[0].maybe == {2}


def test_an_executable_heap_is_one_where_the_kernel_makes_it() -> None:
    model = model_of(Heap(0), Break(2), behaviour=Behaviour(heap_exec=True))

    assert [each.perms for each in model.shown(0)] == ["rwxp"]


def test_a_child_has_the_break_of_its_parent() -> None:
    model = model_of(Heap(0), Break(2), Fork(1))

    assert model.apply(Step(1, Break(4))) == 0
    assert (ruler(model, 1), ruler(model)) == ("Hhhh....", "Hh......")
