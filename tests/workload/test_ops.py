import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.workload.gen import Theme, traces
from harness.workload.ops import (
    PAGE,
    WORDS,
    Break,
    Exec,
    Exit,
    Fork,
    Heap,
    Limit,
    Lock,
    Map,
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

steps = st.one_of(
    [
        st.builds(Step, st.integers(0, 3), st.from_type(kind))
        for kind in WORDS
        if fields(kind)
    ]
)


@given(steps)
def test_a_step_is_read_back_from_json(step: Step) -> None:
    text = json.dumps(render_step(step))

    assert parse_step(json.loads(text)) == step


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    json_values
    | st.tuples(st.sampled_from([*WORDS.values()]), json_values, json_values).map(list)
)
def test_what_is_no_step_is_refused_and_nothing_else_happens(data: Any) -> None:
    try:
        step = parse_step(data)
    except UsageError:
        return
    assert render_step(step)[0] == data[0]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([Step(1, Unmap(0, 1))], "process 1 is not alive"),
        ([Step(0, Fork(1)), Step(0, Fork(1))], "no new process can have the number 1"),
        ([Step(0, Exit())], "process 0 cannot exit"),
        ([Step(0, Exec())], "process 0 cannot exit"),
        (
            [Step(0, Fork(1)), Step(1, Fork(2)), Step(1, Exit())],
            "no process can exit before its children",
        ),
        ([Step(0, Unmap(0, 9))], "outside the arena"),
        ([Step(0, Unmap(0, 0))], "outside the arena"),
        ([Step(0, Unmap(-1, 1))], "outside the arena"),
        ([Step(0, Map(0, 1, 8))], "prot must be from 0 to 7"),
        ([Step(0, Protect(0, 1, -1))], "prot must be from 0 to 7"),
        ([Step(0, Map(0, 1, 3, from_page=99))], "from_page must be from 0 to 8"),
        ([Step(0, Remap(0, 1, 0))], "outside the arena"),
        ([Step(0, Remap(0, 1, 1, 8))], "outside the arena"),
        ([Step(0, Remap(0, 1, 1, keep=True))], "needs a destination"),
        ([Step(0, Heap(8))], "outside the arena"),
        ([Step(0, Break(1))], "brk needs an earlier heap step"),
        ([Step(0, Limit(1)), Step(0, Write(0, 1))], "neither write, lock nor fork"),
        ([Step(0, Limit(1)), Step(0, Lock(0, 1))], "neither write, lock nor fork"),
        ([Step(0, Limit(10**9))], "room must be from -100"),
        # Between the arena's end and 2^64 lies the process itself.
        ([Step(0, SetName(0, 9 * PAGE, "a"))], "outside the arena"),
        ([Step(0, SetName(0, 1 << 62, "a"))], "outside the arena"),
        ([Step(0, SetName(0, PAGE, "a", offset=PAGE))], "outside the arena"),
        ([Step(0, SetName(0, PAGE, "a\0"))], "each from 1 to 255"),
        ([Step(0, SetName(0, PAGE, "\u0100"))], "each from 1 to 255"),
    ],
)
def test_a_trace_that_cannot_be_played_is_refused(
    steps: list[Step], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check_steps(steps, 8)


@pytest.mark.parametrize("length", [0, 1, PAGE, 8 * PAGE, (1 << 64) - 1])
def test_lengths_that_stay_in_the_arena_or_wrap_are_played(length: int) -> None:
    check_steps([Step(0, SetName(0, length, Pointer.NULL))], 8)


def drawn(theme: Theme, operations: int = 2000) -> list[Step]:
    every = traces(7, operations, pages=16, length=100, themes=[theme])
    return [step for trace in every for step in trace]


@pytest.mark.parametrize("theme", Theme)
def test_every_trace_of_a_theme_can_be_played_and_is_the_same_again(
    theme: Theme,
) -> None:
    every = list(traces(7, 2000, pages=16, length=100, themes=[theme]))

    for trace in every:
        check_steps(list(trace), 16)
    assert sum(map(len, every)) == 2000
    assert every == list(traces(7, 2000, pages=16, length=100, themes=[theme]))
    assert every != list(traces(8, 2000, pages=16, length=100, themes=[theme]))


def test_themes_have_every_operation_between_them() -> None:
    seen: set[type[Op]] = {type(step.op) for theme in Theme for step in drawn(theme)}

    assert seen == WORDS.keys()


@pytest.mark.slow
def test_names_are_of_the_lengths_and_bytes_that_matter() -> None:
    names = [
        step.op.name
        for step in drawn(Theme.NAMES, 100_000)
        if isinstance(step.op, SetName) and isinstance(step.op.name, str)
    ]

    assert {0, 1, 79, 80} <= {len(name) for name in names}
    assert set(map(chr, range(1, 256))) <= set("".join(names))
