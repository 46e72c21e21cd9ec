import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.divergence import Recording, parse_recording, parse_seen, render_recording
from harness.divergence.recording import Change, Seen
from harness.errors import RecordError, UsageError
from harness.workload.gen import Theme, traces
from harness.workload.ops import PAGE, Exit, Fork, Map, SetName, Step
from tests.traces import KERNEL, json_values, recording_of

STEPS = (
    Step(0, Map(0, 8, 3)),
    Step(0, SetName(2, PAGE, "a")),
    Step(0, Fork(1)),
    Step(1, Exit()),
)
RECORDING = recording_of(STEPS)


@pytest.mark.parametrize("theme", Theme)
def test_what_is_rendered_parses_back(theme: Theme) -> None:
    for steps in traces(1, 200, pages=12, length=100, themes=[theme]):
        recording = recording_of(steps)

        assert parse_recording(render_recording(recording)) == recording


def test_complaints_notes_and_what_nobody_saw_are_kept() -> None:
    recording = Recording(
        pages=12, steps=STEPS, kernel=KERNEL, note="why \u0100",
        seen=(Seen(0, (), (), looked=False), Seen(12, (), ("BUG: x",))),
    )  # fmt: skip

    assert parse_recording(render_recording(recording)) == recording


def test_a_recording_is_one_line() -> None:
    text = render_recording(replace(RECORDING, note="two\nlines"))

    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1


def test_a_trace_may_not_have_been_played() -> None:
    recording = replace(RECORDING, seen=())

    assert parse_recording(render_recording(recording)) == recording


def spoilt(*path: str | int, value: object) -> bytes:
    """A recording's text with what lies at a path replaced."""
    document = json.loads(render_recording(RECORDING))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"null",
        b"3",
        b"[]",
        b'"kind"',
        b"{}",
        render_recording(RECORDING)[:-2],
        spoilt("kind", value="run"),
        spoilt("schema", value=2),
        spoilt("pages", value="8"),
        spoilt("pages", value=True),
        spoilt("pages", value=None),
        spoilt("kernel", value=[]),
        spoilt("note", value=None),
        spoilt("steps", value=None),
        spoilt("steps", value=3),
        spoilt("steps", value=[[]]),
        spoilt("steps", 0, value=[[], 0]),
        spoilt("steps", 0, value=["mmap", 0, 0, 99, 3]),
        spoilt("steps", 0, value=["exit", 0]),
        spoilt("seen", value=None),
        spoilt("seen", value=[0]),
        spoilt("seen", value=[[]]),
        spoilt("seen", value=[[0]]),
        spoilt("seen", value=[["0", []]]),
        spoilt("seen", value=[[True, []]]),
        spoilt("seen", value=[[0, 1]]),
        spoilt("seen", value=[[0, [[]]]]),
        spoilt("seen", value=[[0, [[4, 0, 0, []]]]]),
        spoilt("seen", value=[[0, [[-1, 0, 0, []]]]]),
        spoilt("seen", value=[[0, [[0, -1, 0, []]]]]),
        spoilt("seen", value=[[0, [[0, 0, True, []]]]]),
        spoilt("seen", value=[[0, [[0, 0, 0, "text"]]]]),
        spoilt("seen", value=[[0, [[0, 0, 0, [1]]]]]),
        spoilt("seen", value=[[0, [], 1]]),
        spoilt("seen", value=[[0, []]] * 5),
    ],
    ids=lambda line: repr(line[-50:]),
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises((RecordError, UsageError)):
        parse_recording(line)


@pytest.mark.parametrize("field", sorted(json.loads(render_recording(RECORDING))))
def test_a_recording_that_lacks_a_field_is_refused(field: str) -> None:
    document = json.loads(render_recording(RECORDING))
    del document[field]

    with pytest.raises(RecordError, match="not a trace"):
        parse_recording(json.dumps(document).encode())


@given(st.data())
def test_whatever_stands_in_a_recording_is_parsed_or_refused(
    data: st.DataObject,
) -> None:
    document = json.loads(render_recording(RECORDING))
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        deeper = place[key]
        if (
            not isinstance(deeper, dict | list)
            or not deeper
            or data.draw(st.booleans())
        ):
            break
        place = deeper
    place[key] = data.draw(json_values)

    try:
        parse_recording(json.dumps(document).encode())
    except (RecordError, UsageError):
        return


@given(st.binary(max_size=60) | json_values.map(lambda v: json.dumps(v).encode()))
def test_whatever_a_line_is_it_is_refused(line: bytes) -> None:
    with pytest.raises((RecordError, UsageError)):
        parse_recording(line)


@given(json_values)
def test_any_result_of_a_step_is_parsed_or_refused(value: Any) -> None:
    try:
        seen = parse_seen(value)
    except RecordError:
        return
    assert type(seen.code) is int


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ([0, []], Seen(0, ())),
        ([12, None], Seen(12, (), (), looked=False)),
        ([0, [[1, 2, 3, ["x"]]]], Seen(0, (Change(1, 2, 3, ("x",)),))),
        ([0, [], ["BUG: x"]], Seen(0, (), ("BUG: x",))),
    ],
)
def test_the_result_of_a_step_is_parsed(value: Any, seen: Seen) -> None:
    assert parse_seen(value) == seen
