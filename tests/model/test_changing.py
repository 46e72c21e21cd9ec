"""Calls that change what is mapped, with what they leave done when refused.

Drawings have a letter a page, see ``tests.traces.ruler``.
"""

import errno

import pytest

from harness.model import Behaviour, Model
from harness.model.changing import NAME_BYTES
from harness.workload.ops import (
    FILE_PAGES,
    PAGE,
    Advice,
    Advise,
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
from tests.traces import ruler


def name(page: int, pages: int, text: str | Pointer) -> SetName:
    return SetName(page, pages * PAGE, text)


def model_of(*ops: Op, behaviour: Behaviour | None = None) -> Model:
    """Eight pages of private memory, and what succeeds after that."""
    model = Model(behaviour)
    for op in (Map(0, 8, 3), *ops):
        assert model.apply(Step(0, op)) == 0, op
    return model


def do(model: Model, op: Op) -> int:
    return model.apply(Step(0, op))


NULL, BAD = Pointer.NULL, Pointer.BAD
WRAPS = (1 << 64) - PAGE


@pytest.mark.parametrize(
    ("op", "code"),
    [
        # attr comes before a pointer that cannot be read
        (SetName(0, PAGE, BAD, attr=1), errno.EINVAL),
        (SetName(0, PAGE, "a", attr=1 << 32), errno.EINVAL),
        # the name before address and length
        (SetName(0, PAGE, BAD, offset=1), errno.EFAULT),
        (SetName(0, 0, BAD), errno.EFAULT),
        (SetName(0, WRAPS, BAD), errno.EFAULT),
        (SetName(0, 0, "["), errno.EINVAL),
        (SetName(0, 0, "x" * 80), errno.EINVAL),
        (SetName(0, 0, "x" * 79), 0),
        # no NUL byte: too long comes before what cannot be read, then its bytes
        (SetName(0, PAGE, "x" * 79, edge=True), errno.EFAULT),
        (SetName(0, PAGE, "x" * 80, edge=True), errno.EINVAL),
        (SetName(0, PAGE, "[", edge=True), errno.EFAULT),
        # the address before a length of nothing
        (SetName(0, 0, "a", offset=1), errno.EINVAL),
        (SetName(0, 0, NULL, offset=1), errno.EINVAL),
        (SetName(0, (1 << 64) - 1, "a"), errno.EINVAL),
        (SetName(0, WRAPS, "a"), errno.EINVAL),
        (SetName(0, WRAPS, NULL), errno.EINVAL),
    ],
)
def test_checks_are_made_in_the_kernel_s_order(op: SetName, code: int) -> None:
    model = model_of()

    assert do(model, op) == code
    assert ruler(model) == "Oooooooo"
    assert model.store.live == set()


def test_a_length_of_nothing_looks_nothing_up() -> None:
    model = Model()

    assert do(model, SetName(3, 0, "a")) == 0
    assert do(model, SetName(3, 1, "a")) == errno.ENOMEM


def test_a_part_of_a_page_names_the_page() -> None:
    model = model_of()

    assert do(model, SetName(1, PAGE + 1, "a")) == 0
    assert ruler(model) == "OAaOoooo"


@pytest.mark.parametrize("byte", range(1, 256))
def test_a_name_is_printable_ascii_but_for_five(byte: int) -> None:
    good = 0x20 <= byte <= 0x7E and chr(byte) not in "\\`$[]"

    assert do(model_of(), name(0, 1, chr(byte))) == (0 if good else errno.EINVAL)
    assert (byte in NAME_BYTES) is good


def test_the_empty_name_is_a_name() -> None:
    model = model_of()

    assert do(model, name(2, 2, "")) == 0
    assert ruler(model) == "OoEeOooo"
    assert [each.path for each in model.shown(0)] == ["", "[anon:]", ""]


@pytest.mark.parametrize(
    ("holes", "page", "pages", "after"),
    [
        #           01234567
        ((0, 2), 0, 4, "..AaOooo"),  # at its start
        ((2, 2), 0, 6, "Aa..AaOo"),  # in its middle
        ((4, 4), 2, 4, "OoAa...."),  # at its end
        ((2, 4), 2, 4, "Oo....Oo"),  # all of it
        ((1, 1), 1, 1, "O.Oooooo"),
        ((6, 2), 7, 1, "Oooooo.."),  # above all
    ],
)
def test_a_hole_is_reported_after_the_rest_is_named(
    holes: tuple[int, int], page: int, pages: int, after: str
) -> None:
    model = model_of(Unmap(*holes))

    assert do(model, name(page, pages, "a")) == errno.ENOMEM
    assert ruler(model) == after


@pytest.mark.parametrize("memory", [Memory.FILE, Memory.FILE_PRIVATE])
def test_a_file_ends_the_walk_and_what_is_before_it_is_named(memory: Memory) -> None:
    #      01234567
    #      oooofooo    a hole at 1 is forgotten for the file
    model = model_of(Unmap(1, 1), Map(4, 1, 3, memory))

    assert do(model, name(0, 8, "a")) == errno.EBADF
    assert ruler(model) == "A.AaFOoo"
    # To clear a name is to give one.
    assert do(model, name(0, 8, NULL)) == errno.EBADF
    assert ruler(model) == "O.OoFOoo"


@pytest.mark.parametrize("memory", [Memory.SHARED, Memory.MEMFD, Memory.MEMFD_PRIVATE])
def test_memory_without_a_path_is_named_where_the_kernel_can(memory: Memory) -> None:
    new = model_of(Map(2, 2, 3, memory))
    old = model_of(Map(2, 2, 3, memory), behaviour=Behaviour(anon_shmem=False))

    assert do(new, name(2, 2, "a")) == 0
    assert [each.path for each in new.shown(0)] == ["", "[anon_shmem:a]", ""]
    assert do(old, name(0, 8, "a")) == errno.EBADF
    assert ruler(old) == "AaFfOooo"


def test_at_the_limit_the_front_is_split_off_and_nothing_named() -> None:
    #   01234567
    #   Oooooooo   one VMA; two may be
    #   OoOooooo   the first cut was made, the second refused
    model = model_of(Limit(1))

    assert do(model, name(2, 2, "a")) == errno.EAGAIN
    assert ruler(model) == "OoOooooo"
    assert model.store.live == set()


def test_with_room_for_no_cut_none_is_made() -> None:
    model = model_of(Limit(0))

    assert do(model, name(2, 2, "a")) == errno.EAGAIN
    assert ruler(model) == "Oooooooo"


def test_at_the_limit_a_whole_vma_can_be_named() -> None:
    model = model_of(Limit(0))

    assert do(model, name(0, 8, "a")) == 0
    assert ruler(model) == "Aaaaaaaa"


def test_at_the_limit_a_neighbour_can_grow() -> None:
    model = model_of(name(0, 2, "a"), Limit(0))

    assert do(model, name(2, 2, "a")) == 0
    assert ruler(model) == "AaaaOooo"


def test_the_walk_stops_at_the_limit_and_keeps_what_it_did() -> None:
    #   01234567
    #   OoP.Oooo   P is read-only; as many as may be
    #   AaA.Oooo   four of six would need a cut
    model = model_of(Protect(2, 1, 1), Unmap(3, 1), Limit(0))

    assert do(model, name(0, 6, "a")) == errno.EAGAIN
    assert ruler(model) == "AaA.Oooo"


def test_the_same_text_changes_nothing_even_at_the_limit() -> None:
    model = model_of(name(0, 8, "a"), Limit(0))
    (before,) = model.store.live

    assert do(model, name(2, 2, "a")) == 0
    assert ruler(model) == "Aaaaaaaa"
    assert model.store.live == {before}


@pytest.mark.parametrize(
    ("ops", "after"),
    [
        #                                                 01234567
        ([name(0, 2, "a"), name(2, 2, "a")],             "AaaaOooo"),
        ([name(0, 2, "a"), name(4, 2, "a")],             "AaOoAaOo"),
        ([name(0, 2, "a"), name(4, 2, "a"),
          name(2, 2, "a")],                              "AaaaaaOo"),
        ([name(0, 8, "a"), name(2, 2, "b")],             "AaBbAaaa"),
        ([name(0, 8, "a"), name(2, 2, "b"),
          name(2, 2, "a")],                              "Aaaaaaaa"),
        ([name(0, 8, "a"), name(2, 2, NULL)],            "AaOoAaaa"),
        ([name(0, 4, "a"), name(2, 4, "b")],             "AaBbbbOo"),
        ([name(2, 4, "a"), name(0, 8, NULL)],            "Oooooooo"),
        ([name(2, 4, ""), name(6, 2, NULL)],             "OoEeeeOo"),
        # What was cut by its flags stays cut, whatever its name.
        ([Protect(2, 2, 1), name(0, 8, "a")],            "AaAaAaaa"),
        ([name(0, 8, "a"), Protect(2, 2, 1)],            "AaAaAaaa"),
        ([name(0, 8, "a"), Protect(2, 2, 1),
          Protect(2, 2, 3)],                             "Aaaaaaaa"),
        ([name(0, 8, "a"), Advise(2, 2, Advice.DONTDUMP)], "AaAaAaaa"),
        ([name(0, 8, "a"), Advise(2, 2, Advice.DONTDUMP),
          Advise(0, 8, Advice.DODUMP)],                  "Aaaaaaaa"),
        ([name(0, 8, "a"), Advise(2, 2, Advice.DONTNEED)], "Aaaaaaaa"),
        ([Advise(2, 2, Advice.RANDOM), Advise(0, 4, Advice.SEQUENTIAL)], "OoooOooo"),
        ([Advise(2, 2, Advice.RANDOM), Advise(0, 8, Advice.NORMAL)], "Oooooooo"),
        ([name(0, 4, "a"), Protect(0, 8, 1)],            "AaaaOooo"),
        # What is equal may be one; what is new has no name.
        ([name(0, 8, "a"), Map(2, 2, 3)],                "AaOoAaaa"),
        ([name(0, 4, "a"), Map(2, 2, 3)],                "AaOooooo"),
    ],
)  # fmt: skip
def test_names_and_flags_split_and_merge(ops: list[Op], after: str) -> None:
    assert ruler(model_of(*ops)) == after


@pytest.mark.parametrize(("unaccounts", "after"), [(False, "OOOooooo"),
                                                   (True, "OoOooooo")])  # fmt: skip
def test_memory_that_was_writable_may_stay_accounted(
    unaccounts: bool, after: str
) -> None:
    #   01234567
    #   rwwwwwww   0 was writable
    #   rRwwwwww   1 never was
    model = model_of(Protect(0, 1, 1), Map(1, 1, 1),
                     behaviour=Behaviour(unaccounts=unaccounts))  # fmt: skip

    assert ruler(model) == after


def test_written_memory_stays_accounted() -> None:
    model = model_of(Write(0, 1), Protect(0, 8, 1), Protect(0, 8, 0), Map(4, 4, 0))

    assert ruler(model) == "OoooOooo"


def test_memory_that_is_not_reserved_is_not_accounted() -> None:
    model = model_of(Map(0, 2, 3, noreserve=True), Protect(0, 2, 1),
                     Map(2, 2, 1, noreserve=True))  # fmt: skip

    assert ruler(model) == "OoooOooo"


@pytest.mark.parametrize("op", [Protect(0, 6, 1), Lock(0, 6)])
def test_mprotect_and_mlock_stop_at_a_hole(op: Op) -> None:
    model = model_of(Unmap(2, 2))

    assert do(model, op) == errno.ENOMEM
    before_the_hole, *_ = model.mms[0].vmas
    after_the_hole = model.mms[0].vmas[-1]
    assert before_the_hole.flags != after_the_hole.flags
    assert ruler(model) == "Oo..Oooo"


@pytest.mark.parametrize("op", [Protect(2, 2, 1), Lock(2, 2), Unlock(2, 2),
                                Advise(2, 2, Advice.DONTDUMP)])  # fmt: skip
def test_what_begins_in_a_hole_is_refused(op: Op) -> None:
    model = model_of(Unmap(2, 1))

    assert do(model, op) == errno.ENOMEM


def test_madvise_goes_on_past_a_hole() -> None:
    model = model_of(Unmap(2, 2))

    assert do(model, Advise(1, 4, Advice.DONTDUMP)) == errno.ENOMEM
    assert ruler(model) == "OO..OOoo"


def test_mprotect_at_the_limit_is_refused_with_enomem() -> None:
    model = model_of(Limit(1))

    assert do(model, Protect(2, 2, 1)) == errno.ENOMEM
    assert ruler(model) == "OoOooooo"


def test_madvise_at_the_limit_is_refused_with_eagain() -> None:
    model = model_of(Limit(0))

    assert do(model, Advise(2, 2, Advice.DONTDUMP)) == errno.EAGAIN
    assert ruler(model) == "Oooooooo"


def test_memory_of_a_file_cannot_be_wiped() -> None:
    model = model_of(Map(2, 2, 3, Memory.SHARED))

    assert do(model, Advise(0, 8, Advice.WIPEONFORK)) == errno.EINVAL
    # What is before it, is done.
    assert ruler(model) == "OoFfOooo"
    assert model.mms[0].vmas[0].flags != model.mms[0].vmas[2].flags


def test_locked_memory_is_not_given_up() -> None:
    model = model_of(Lock(2, 2))

    assert do(model, Advise(0, 8, Advice.DONTNEED)) == errno.EINVAL
    assert do(model, Unlock(2, 2)) == 0
    assert do(model, Advise(0, 8, Advice.DONTNEED)) == 0


def test_mlock_of_what_is_not_accessible_locks_it_and_fails() -> None:
    model = model_of(Protect(0, 8, 0))

    assert do(model, Lock(0, 8)) == errno.ENOMEM
    assert do(model, Advise(0, 8, Advice.DONTNEED)) == errno.EINVAL


@pytest.mark.parametrize(
    ("op", "code"),
    [
        (Write(0, 8), 0),
        (Write(1, 2), errno.EFAULT),
        (Write(3, 1), errno.EFAULT),
    ],
)
def test_what_is_not_writable_cannot_be_written(op: Op, code: int) -> None:
    spoils: list[Op] = [] if code == 0 else [Protect(2, 1, 1), Unmap(3, 1)]

    assert do(model_of(*spoils), op) == code


def test_nothing_can_be_written_past_the_end_of_shared_memory() -> None:
    #   0123   two pages are shared, then mapped as four
    #   Ff--
    model = model_of(Unmap(0, 8), Map(0, 2, 3, Memory.SHARED), Remap(0, 2, 4))

    assert ruler(model) == "Ffff...."
    assert do(model, Write(0, 2)) == 0
    assert do(model, Write(0, 3)) == errno.EFAULT
    assert do(model, Lock(0, 4)) == errno.ENOMEM
    assert do(model, Lock(0, 2)) == 0


def test_files_are_longer_than_any_trace_maps() -> None:
    model = model_of(Map(0, 8, 3, Memory.FILE, from_page=8))

    assert do(model, Write(0, 8)) == 0
    assert model.mms[0].vmas[0].file is not None
    assert model.mms[0].vmas[0].file.pages == FILE_PAGES


def test_written_memory_merges_maybe() -> None:
    model = model_of(name(0, 4, "a"), Write(0, 1))

    assert do(model, name(4, 4, "a")) == 0
    assert ruler(model) == "AaaaAaaa"
    assert model.mms[0].maybe == {4}
