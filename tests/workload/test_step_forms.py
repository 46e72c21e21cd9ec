"""Steps as JSON, and which traces can be played."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.workload.ops import (
    MOST_PAGES,
    MOST_PROCESSES,
    PAGE,
    WORDS,
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
    Unmap,
    Write,
    check_steps,
    parse_step,
    render_step,
)
from tests.traces import json_values

any_steps = st.builds(
    Step,
    st.integers(0, MOST_PROCESSES - 1),
    st.one_of(*(st.from_type(kind) for kind in WORDS)),
)


@given(any_steps)
def test_a_step_goes_through_json_and_back(step: Step) -> None:
    assert parse_step(json.loads(json.dumps(render_step(step)))) == step


@pytest.mark.parametrize(
    ("step", "rendered"),
    [
        (Step(0, Map(1, 2, 3)), ["mmap", 0, 1, 2, 3]),
        (
            Step(1, Map(1, 2, 3, Memory.MEMFD, replace=False)),
            ["mmap", 1, 1, 2, 3, "memfd", False, False],
        ),
        (Step(0, SetName(1, 4096, "null")), ["set_name", 0, 1, 4096, "null"]),
        (Step(0, SetName(1, 1, Pointer.NULL)), ["set_name", 0, 1, 1, ["null"]]),
        (Step(0, SetName(1, 1, "\xff")), ["set_name", 0, 1, 1, "\xff"]),
        (Step(0, Advise(0, 1, Advice.DONTFORK)), ["madvise", 0, 0, 1, 10]),
        (Step(0, Remap(0, 1, 1, 0)), ["mremap", 0, 0, 1, 1, 0]),
        (Step(2, Exit()), ["exit", 2]),
    ],
)
def test_what_is_usual_is_left_out(step: Step, rendered: list[Any]) -> None:
    assert render_step(step) == rendered
    assert step.word == rendered[0]


@pytest.mark.slow
@given(
    st.one_of(
        json_values,
        st.tuples(st.sampled_from(list(WORDS.values())), st.integers(-1, 4)).flatmap(
            lambda head: st.lists(json_values).map(lambda v: [*head, *v])
        ),
    )
)
def test_anything_is_a_step_or_a_usage_error(data: Any) -> None:
    try:
        step = parse_step(data)
    except UsageError:
        return
    assert parse_step(render_step(step)) == step


@pytest.mark.parametrize(
    "data",
    [
        None,
        "mmap",
        [],
        ["exit"],
        ["exit", -1],
        ["exit", MOST_PROCESSES],
        ["exit", True],
        ["exit", "0"],
        ["exit", 1, 1],
        [[], 0],
        [{}, 0],
        [None, 0],
        ["mmap", 0],
        ["mmap", 0, 1, 2],
        ["mmap", 0, 1, 2, 3.0],
        ["mmap", 0, 1, 2, True],
        ["mmap", 0, 1, 2, 3, "tape"],
        ["mmap", 0, 1, 2, 3, "private", 0],
        ["madvise", 0, 0, 1, 3],
        ["madvise", 0, 0, 1, "DONTNEED"],
        ["madvise", 0, 0, 1, 4.0],
        ["madvise", 0, 0, 1, True],
        ["madvise", 0, 0, 1, []],
        ["set_name", 0, 0, 1, None],
        ["set_name", 0, 0, 1, ["none"]],
        ["set_name", 0, 0, 1, []],
        ["set_name", 0, 0, 1, [[]]],
        ["set_name", 0, 0, 1, ["null", "null"]],
        ["set_name", 0, 0, 1, "a", None],
    ],
    ids=repr,
)
def test_what_is_no_step_is_refused(data: Any) -> None:
    with pytest.raises(UsageError, match="not a step of a trace"):
        parse_step(data)


def check(*ops: Op | Step, pages: int = 8) -> None:
    """Check a trace; what is no step is process 0's."""
    check_steps([op if isinstance(op, Step) else Step(0, op) for op in ops], pages)


ALL = Map(0, 8, 3)
FAR = 1 << 64


@pytest.mark.parametrize(
    "ops",
    [
        (),
        (ALL, Unmap(0, 8), Protect(0, 8, 7), Remap(0, 8, 8), Remap(0, 4, 4, 4)),
        (SetName(0, 8 * PAGE, "a"), SetName(8, 0, "a"), SetName(7, 1, "a", PAGE - 1)),
        (SetName(0, FAR - PAGE, "a"), SetName(3, FAR - 4 * PAGE, "a")),
        (SetName(0, 1, "a", attr=FAR - 1), SetName(0, 1, "n" * (PAGE - 1))),
        (Limit(-100), ALL, Limit(1000)),
        (Heap(0), Break(7)),
        (Heap(0), Fork(1), Step(1, Break(7))),
        (Fork(1), Fork(2), Fork(3), Step(2, Exit()), Fork(2), Step(2, Exec())),
        (Fork(1), Step(1, Fork(2)), Step(2, Exit()), Step(1, Exit()), ALL),
        (Map(0, 1, 1, Memory.FILE, from_page=8),),
    ],
)
def test_a_trace_that_can_be_played(ops: tuple[Op | Step, ...]) -> None:
    check(*ops)


@pytest.mark.parametrize(
    ("ops", "why"),
    [
        # the arena ends
        ((Map(0, 9, 3),), "outside"),
        ((Map(8, 1, 3),), "outside"),
        ((Map(-1, 2, 3),), "outside"),
        ((Map(0, 0, 3),), "outside"),
        ((Unmap(0, 9),), "outside"),
        ((Unmap(0, 0),), "outside"),
        ((Write(7, 2),), "outside"),
        ((Lock(-1, 1),), "outside"),
        ((Remap(0, 1, 0),), "outside"),
        ((Remap(0, 1, 9),), "outside"),
        ((Remap(0, 4, 4, 5),), "outside"),
        ((Remap(0, 4, 4, -1),), "outside"),
        ((Heap(8),), "outside"),
        ((Heap(-1),), "outside"),
        ((Heap(0), Break(8)), "outside"),
        # a name outside of it names the process that plays
        ((SetName(0, 8 * PAGE + 1, "a"),), "outside"),
        ((SetName(0, 8 * PAGE, "a", 1),), "outside"),
        ((SetName(8, 1, "a"),), "outside"),
        ((SetName(9, 0, "a"),), "outside"),
        ((SetName(-1, PAGE, "a"),), "outside"),
        ((SetName(0, -1, "a"),), "outside"),
        ((SetName(0, FAR - PAGE - 1, "a"),), "outside"),
        ((SetName(0, FAR, "a"),), "outside"),
        ((SetName(0, 1 << 40, "a"),), "outside"),
        ((SetName(FAR // PAGE - 1, 100 * PAGE, "a"),), "outside"),
        ((SetName(1 << 40, FAR - PAGE, "a"),), "outside"),
        ((SetName(0, 1, "a", PAGE),), "outside"),
        ((SetName(0, 1, "a", -1),), "outside"),
        ((SetName(0, 1, "a", attr=-1),), "attr must have"),
        ((SetName(0, 1, "a", attr=FAR),), "attr must have"),
        ((SetName(0, 1, "n" * PAGE),), "each from 1 to 255"),
        ((SetName(0, 1, "\0"),), "each from 1 to 255"),
        ((SetName(0, 1, "\u0100"),), "each from 1 to 255"),
        # arguments
        ((Map(0, 1, 8),), "prot must be from 0 to 7"),
        ((Map(0, 1, -1),), "prot must be from 0 to 7"),
        ((Protect(0, 1, 0x01000000),), "prot must be from 0 to 7"),
        ((Map(0, 1, 1, Memory.FILE, from_page=9),), "from_page must be"),
        ((Map(0, 1, 1, Memory.FILE, from_page=-1),), "from_page must be"),
        ((Remap(0, 1, 1, keep=True),), "needs a destination"),
        ((Limit(-101),), "room must be from"),
        ((Limit(2 * MOST_PAGES + 1),), "room must be from"),
        # processes
        ((Step(1, ALL),), "not alive"),
        ((Fork(1), Step(1, Exit()), Step(1, ALL)), "not alive"),
        ((Fork(0),), "no new process"),
        ((Fork(MOST_PROCESSES),), "no new process"),
        ((Fork(-1),), "no new process"),
        ((Fork(1), Fork(1)), "no new process"),
        ((Exit(),), "process 0 cannot exit"),
        ((Exec(),), "process 0 cannot exit"),
        ((Fork(1), Step(1, Fork(2)), Step(1, Exit())), "before its children"),
        ((Fork(1), Step(1, Fork(2)), Step(1, Exec())), "before its children"),
        # limits and written memory
        ((Limit(0), Write(0, 1)), "neither write, lock nor fork"),
        ((Lock(0, 1), Limit(0)), "neither write, lock nor fork"),
        ((Limit(0), Fork(1)), "neither write, lock nor fork"),
        # the break of whoever plays
        ((Break(0),), "needs an earlier heap step"),
        ((Break(0), Heap(0)), "needs an earlier heap step"),
        ((Fork(1), Heap(0), Step(1, Break(1))), "needs an earlier heap step"),
        (
            (Fork(1), Step(1, Heap(0)), Step(1, Exit()), Fork(1), Step(1, Break(1))),
            "needs an earlier heap step",
        ),
    ],
)
def test_a_trace_that_cannot_be_played_is_refused(
    ops: tuple[Op | Step, ...], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        check(*ops)


@pytest.mark.parametrize("pages", [0, -1, MOST_PAGES + 1])
def test_an_arena_that_cannot_be_is_refused(pages: int) -> None:
    with pytest.raises(UsageError, match="an arena has 1 to"):
        check(pages=pages)


def test_the_error_names_the_step() -> None:
    with pytest.raises(UsageError, match=r"step 1 \(munmap\): outside the arena"):
        check(ALL, Unmap(0, 9))
