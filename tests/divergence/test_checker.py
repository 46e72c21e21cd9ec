"""A kernel compared with the model: agreement, and every kind of divergence."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.divergence import Divergence, Kernel, TraceChecker, parse_seen
from harness.divergence.recording import Change, Seen
from harness.errors import RecordError
from harness.model import Behaviour, Model, RefcountedStore, Shown, StrdupStore
from harness.workload.gen import Theme, traces
from harness.workload.ops import (
    PAGE,
    Advice,
    Advise,
    Exec,
    Exit,
    Fork,
    Map,
    Memory,
    Op,
    Remap,
    SetName,
    Step,
    Unmap,
    Write,
)
from tests.traces import FILE, HERE, KERNEL, START, ForgetfulModel, line_of, seen_of


def steps_of(*ops: Op | Step) -> list[Step]:
    return [op if isinstance(op, Step) else Step(0, op) for op in ops]


def first_divergence(steps: Sequence[Step], seen: Sequence[Any]) -> Divergence | None:
    """The first divergence of what was seen, as the executor writes it."""
    checker = TraceChecker(steps, HERE)
    for each in seen:
        divergence = checker.check(parse_seen(each))
        if divergence is not None:
            return divergence
    return None


ALL = Map(0, 8, 3)
NAMED = SetName(2, 2 * PAGE, "a")
STEPS = steps_of(ALL, NAMED, Fork(1), Step(1, SetName(0, PAGE, "b")), Step(1, Exit()))


@pytest.mark.parametrize("theme", Theme)
@pytest.mark.parametrize("store", [RefcountedStore, StrdupStore])
def test_a_kernel_that_is_the_model_agrees(
    theme: Theme, store: type[RefcountedStore | StrdupStore]
) -> None:
    for steps in traces(3, 600, pages=12, length=150, themes=[theme]):
        seen = seen_of(Model(store=store()), steps)

        assert first_divergence(steps, seen) is None


def test_every_step_is_checked_once_and_no_more() -> None:
    checker = TraceChecker(STEPS, HERE)
    for each in seen_of(Model(), STEPS):
        checker.check(parse_seen(each))

    assert (checker.checked, checker.by_content) == (len(STEPS), 0)
    with pytest.raises(RecordError, match="fewer steps than observations"):
        checker.check(Seen(0, ()))


def test_another_errno_is_another_outcome() -> None:
    seen = seen_of(Model(), STEPS)
    seen[1][0] = 12

    divergence = first_divergence(STEPS, seen)

    before = (Shown(0, 8, "rw-p", 0, ""),)
    expected = (
        Shown(0, 2, "rw-p", 0, ""),
        Shown(2, 4, "rw-p", 0, "[anon:a]"),
        Shown(4, 8, "rw-p", 0, ""),
    )
    assert divergence == Divergence(
        kind="outcome", index=1, step=STEPS[1], who=0, expected_code=0,
        seen_code=12, before=before, expected=expected,
    )  # fmt: skip
    assert divergence.headline == (
        "step 1, set_name: the kernel answered ENOMEM, expected 0"
    )


def test_an_errno_without_a_name_is_shown_as_its_number() -> None:
    seen = seen_of(Model(), STEPS)
    seen[0][0] = 4000

    divergence = first_divergence(STEPS, seen)

    assert divergence is not None
    assert "answered 4000, expected 0" in divergence.headline


SPOILT: list[tuple[Callable[[list[Shown]], object], str]] = [
    # another name, none, another end, other bits: other memory
    (lambda shown: shown.__setitem__(1, shown[1]._replace(path="[anon:b]")), "content"),
    (lambda shown: shown.__setitem__(1, shown[1]._replace(path="")), "content"),
    (lambda shown: shown.__setitem__(1, shown[1]._replace(end=3)), "content"),
    (lambda shown: shown.__setitem__(1, shown[1]._replace(perms="r--p")), "content"),
    (lambda shown: shown.pop(), "content"),
    (lambda shown: shown.clear(), "content"),
    (lambda shown: shown.append(Shown(9, 10, "rw-p", 0, "")), "content"),
    # the same memory in one piece more
    (
        lambda shown: shown.__setitem__(
            slice(2, 3), [shown[2]._replace(end=6), shown[2]._replace(start=6)]
        ),
        "shape",
    ),
]


@pytest.mark.parametrize(("spoil", "kind"), SPOILT)
def test_other_maps_are_other_content_or_another_shape(
    spoil: Callable[[list[Shown]], object], kind: str
) -> None:
    steps = STEPS[:2]
    model = Model()
    seen = seen_of(model, steps)
    shown = list(model.shown(0))
    spoil(shown)
    seen[1][1] = [[0, 0, 0, [line_of(each) for each in shown]]]

    divergence = first_divergence(steps, seen)

    assert divergence is not None
    assert (divergence.kind, divergence.index, divergence.who) == (kind, 1, 0)
    assert divergence.expected == tuple(model.shown(0))
    assert divergence.seen == tuple(shown)
    assert divergence.before == (Shown(0, 8, "rw-p", 0, ""),)


def test_what_did_not_change_but_should_have_is_seen_too() -> None:
    seen = seen_of(Model(), STEPS)
    seen[1][1] = []

    divergence = first_divergence(STEPS, seen)

    assert divergence is not None
    assert (divergence.kind, divergence.index) == ("content", 1)


def test_what_another_process_does_to_ours_is_seen() -> None:
    #   the child names its memory, and its parent's goes too
    seen = seen_of(Model(), STEPS)
    seen[3][1].append([0, 0, 0, []])

    divergence = first_divergence(STEPS, seen)

    assert divergence is not None
    assert (divergence.kind, divergence.index, divergence.who) == ("content", 3, 0)
    assert divergence.headline == (
        "step 3, set_name: process 0 has other mappings or names than expected"
    )


def test_names_that_a_fork_loses_are_seen_in_the_child() -> None:
    divergence = first_divergence(STEPS, seen_of(ForgetfulModel(), STEPS))

    assert divergence is not None
    assert (divergence.kind, divergence.index, divergence.who) == ("content", 2, 1)


def test_a_child_that_shows_nothing_is_seen() -> None:
    seen = seen_of(Model(), STEPS)
    seen[2][1] = []

    divergence = first_divergence(STEPS, seen)

    assert divergence is not None
    assert (divergence.index, divergence.who, divergence.seen) == (2, 1, ())


def test_a_complaint_of_the_kernel_s_log_comes_before_all_else() -> None:
    seen = seen_of(Model(), STEPS)
    seen[1] = [12, [], ["BUG: one", "WARNING: two"]]

    divergence = first_divergence(STEPS, seen)

    assert divergence is not None
    assert divergence == Divergence(
        kind="complaint", index=1, step=STEPS[1], who=0,
        words="BUG: one; WARNING: two", before=divergence.before,
    )  # fmt: skip
    assert divergence.headline == (
        "step 1, set_name: the kernel complained: BUG: one; WARNING: two"
    )


def test_where_nobody_looked_only_the_outcome_counts() -> None:
    seen = [[code, None] for code, _ in seen_of(Model(), STEPS)]

    assert first_divergence(STEPS, seen) is None


def test_after_a_step_that_nobody_saw_what_changed_since_is_compared() -> None:
    steps = STEPS[:2]
    unseen, last = seen_of(Model(), steps)
    lines = [line for change in last[1] for line in change[3]]
    last[1] = [[0, 0, 0, lines]]

    assert first_divergence(steps, [[unseen[0], None], last]) is None


def test_a_name_that_survives_execve_is_reported() -> None:
    steps = steps_of(ALL, NAMED, Fork(1), Step(1, Exec()))
    seen = seen_of(Model(), steps)
    assert seen[3][1] == [[1, 0, 0, []]]
    seen[3][1] = [[1, 0, 0, [line_of(Shown(2, 4, "rw-p", 0, "[anon:a]"))]]]

    divergence = first_divergence(steps, seen)

    assert divergence is not None
    assert (divergence.kind, divergence.words) == (
        "content",
        "a name or an arena survived execve",
    )


def test_a_number_that_is_another_process_has_maps_of_its_own() -> None:
    steps = steps_of(
        ALL, Fork(1), Step(1, NAMED), Step(1, Exit()), Fork(1), Step(1, NAMED)
    )

    assert first_divergence(steps, seen_of(Model(), steps)) is None


# Written memory: the second name may join the first or not.
#   01234567
#   AaAaOooo   or   AaaaOooo
WRITTEN = steps_of(
    ALL, SetName(0, 2 * PAGE, "a"), Write(0, 1), SetName(2, 2 * PAGE, "a")
)
APART = [
    Shown(0, 2, "rw-p", 0, "[anon:a]"),
    Shown(2, 4, "rw-p", 0, "[anon:a]"),
    Shown(4, 8, "rw-p", 0, ""),
]
JOINED = [Shown(0, 4, "rw-p", 0, "[anon:a]"), APART[2]]


@pytest.mark.parametrize("shown", [APART, JOINED])
def test_written_memory_may_merge_and_is_then_as_it_was_seen(
    shown: list[Shown],
) -> None:
    checker = TraceChecker(WRITTEN, HERE)
    seen = seen_of(Model(), WRITTEN)
    seen[3][1] = [[0, 0, 0, [line_of(each) for each in shown]]]

    for each in seen:
        assert checker.check(parse_seen(each)) is None

    assert list(checker.model.shown(0)) == shown
    assert checker.by_content == 1
    assert sum(name.refs for name in checker.model.store.live) == len(shown) - 1


@pytest.mark.parametrize(
    "shown",
    [
        # a boundary where none may be
        [APART[0], APART[1]._replace(end=3), APART[1]._replace(start=3), APART[2]],
        [JOINED[0]._replace(end=3), JOINED[0]._replace(start=3), APART[2]],
        # a merge where none may be
        [APART[0], APART[1]._replace(end=8)],
        [JOINED[0]._replace(end=8)],
    ],
)
def test_where_some_merges_may_be_others_may_not(shown: list[Shown]) -> None:
    seen = seen_of(Model(), WRITTEN)
    seen[3][1] = [[0, 0, 0, [line_of(each) for each in shown]]]

    divergence = first_divergence(WRITTEN, seen)

    assert divergence is not None
    assert divergence.index == 3


def test_once_settled_a_shape_is_exact_again() -> None:
    steps = [*WRITTEN, *steps_of(Advise(4, 4, Advice.DONTDUMP))]
    seen = seen_of(Model(), steps)
    seen[3][1] = [[0, 0, 0, [line_of(each) for each in JOINED]]]
    seen[4][1] = [[0, 0, 0, [line_of(each) for each in APART]]]

    divergence = first_divergence(steps, seen)

    assert divergence is not None
    assert (divergence.kind, divergence.index) == ("shape", 4)


def test_a_source_that_mremap_leaves_is_not_taken_for_a_merge() -> None:
    #   01234567
    #   Oooo..Oo   2 and 3 are moved to 4; 6 and 7 are written: all may be one,
    #   Oo..OoOo   but not with what has to be gone
    steps = steps_of(ALL, Unmap(4, 2), Write(6, 1), Remap(2, 2, 2, 4))
    seen = seen_of(Model(), steps)
    assert first_divergence(steps, seen) is None
    seen[3][1] = [[0, 0, 0, [line_of(Shown(0, 8, "rw-p", 0, ""))]]]

    divergence = first_divergence(steps, seen)

    assert divergence is not None
    assert (divergence.kind, divergence.index) == ("content", 3)


def test_pieces_of_a_file_are_one_where_their_pages_follow() -> None:
    steps = steps_of(Map(0, 4, 1, Memory.FILE))
    first = Shown(0, 2, "r--s", 0, "/file")
    follows, another = Shown(2, 4, "r--s", 2, "/file"), Shown(2, 4, "r--s", 0, "/file")

    kinds = []
    for second in (follows, another):
        divergence = first_divergence(
            steps, [[0, [[0, 0, 0, [line_of(first), line_of(second)]]]]]
        )
        assert divergence is not None
        kinds.append(divergence.kind)

    assert kinds == ["shape", "content"]


@pytest.mark.parametrize("path", [FILE, f"{FILE} (deleted)"])
def test_the_executor_s_file_is_known_by_its_path(path: str) -> None:
    steps = steps_of(Map(0, 4, 1, Memory.FILE))
    line = line_of(Shown(0, 4, "r--s", 0, path))

    assert first_divergence(steps, [[0, [[0, 0, 0, [line]]]]]) is None


def test_a_trace_that_ends_early_died_at_its_next_step() -> None:
    checker = TraceChecker(STEPS, HERE)
    checker.check(parse_seen(seen_of(Model(), STEPS)[0]))

    divergence = checker.died("the kernel panicked")

    assert divergence == Divergence(
        kind="died", index=1, step=STEPS[1], who=0, words="the kernel panicked",
        before=(Shown(0, 8, "rw-p", 0, ""),),
    )  # fmt: skip
    assert divergence.headline == "step 1, set_name: the kernel panicked"


def test_a_trace_that_dies_after_its_end_died_in_its_last_step() -> None:
    checker = TraceChecker(STEPS, HERE)
    for each in seen_of(Model(), STEPS):
        checker.check(parse_seen(each))

    assert checker.died("lost").index == len(STEPS) - 1


GOOD = line_of(Shown(0, 8, "rw-p", 0, ""))


@pytest.mark.parametrize(
    "change",
    [
        Change(0, 1, 0, ()),
        Change(0, 0, 1, ()),
        Change(0, 0, 0, ("",)),
        Change(0, 0, 0, ("nothing of maps",)),
        Change(0, 0, 0, ("\u0100" + GOOD,)),
        Change(0, 0, 0, (GOOD.replace("20000000-", "20000100-"),)),
        Change(0, 0, 0, (GOOD.replace("20000000-", "10000000-"),)),
        Change(0, 0, 0, (GOOD.replace("-20008000", "-20008001"),)),
        Change(0, 0, 0, (GOOD.replace(" 00000000 ", " 00000001 "),)),
    ],
)
def test_what_cannot_have_been_seen_is_an_error(change: Change) -> None:
    with pytest.raises(RecordError):
        TraceChecker(STEPS, HERE).check(Seen(0, (change,)))


@pytest.mark.long
@given(
    st.lists(
        st.builds(
            Seen,
            st.sampled_from([0, 0, 0, 12]),
            st.lists(
                st.builds(
                    Change,
                    st.integers(0, 3),
                    st.integers(0, 2),
                    st.integers(0, 2),
                    st.lists(
                        st.sampled_from([GOOD, "", "x"]) | st.text(max_size=90),
                        max_size=2,
                    ).map(tuple),
                ),
                max_size=3,
            ).map(tuple),
        ),
        max_size=6,
    )
)
def test_any_observation_is_checked_or_refused(seen: list[Seen]) -> None:
    checker = TraceChecker(STEPS, HERE)
    try:
        for each in seen:
            if checker.check(each) is not None:
                return
    except RecordError:
        return


def test_a_kernel_is_parsed_from_the_executor_s_description() -> None:
    described = KERNEL | {"behaviour": {"unaccounts": False, "heap_exec": None}}

    assert Kernel.of(described) == Kernel(Behaviour(unaccounts=False), START, FILE)


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"behaviour": {}},
        KERNEL | {"behaviour": None},
        KERNEL | {"behaviour": []},
        KERNEL | {"behaviour": {"flies": True}},
        KERNEL | {"behaviour": {"unaccounts": 1}},
        KERNEL | {"start": "0x20000000"},
        KERNEL | {"start": True},
        KERNEL | {"file": None},
    ],
)
def test_what_is_no_kernel_is_refused(described: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="not the description of a kernel"):
        Kernel.of(described)


def test_unmapping_all_leaves_no_lines() -> None:
    steps = steps_of(ALL, Unmap(0, 8), ALL)

    assert first_divergence(steps, seen_of(Model(), steps)) is None
