import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.worker.executor import ExecutorJob, parse_executor_job, render_executor_job
from harness.workload.gen import Theme, traces
from harness.workload.ops import Exit, Map, Step

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from(Theme))
def test_what_is_rendered_parses_back(seed: int, pages: int, theme: Theme) -> None:
    made = traces(seed, 30, pages=pages, length=10, themes=[theme])
    job = ExecutorJob(pages=pages, traces=tuple(made))

    assert parse_executor_job(render_executor_job(job)) == job


JOB = {"pages": 8, "at_end": False, "traces": [[["mmap", 0, 0, 8, 3]]]}


def test_a_job_is_its_pages_and_its_traces() -> None:
    job = parse_executor_job(json.dumps(JOB).encode())

    assert job == ExecutorJob(pages=8, traces=((Step(0, Map(0, 8, 3)),),))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"null",
        b"3",
        b"[]",
        b"{}",
        b'"pages"',
        json.dumps(JOB)[:-1].encode(),
        b'{"pages": 8}',
        b'{"traces": []}',
        b'{"pages": "8", "traces": [[["mmap", 0, 0, 8, 3]]]}',
        b'{"pages": 8.5, "traces": [[["mmap", 0, 0, 8, 3]]]}',
        b'{"pages": null, "traces": [[]]}',
        b'{"pages": true, "traces": [[]]}',
        b'{"pages": 8, "traces": {}}',
        b'{"pages": 8, "traces": ""}',
        b'{"pages": 8, "traces": [1]}',
        b'{"pages": 8, "traces": [[1]]}',
        b'{"pages": 8, "traces": [[[[], 0]]]}',
        b'{"pages": 0, "traces": [[["mmap", 0, 0, 8, 3]]]}',
        b'{"pages": 4, "traces": [[["mmap", 0, 0, 8, 3]]]}',
        b'{"pages": 8, "traces": [[["exit", 0]]]}',
    ],
    ids=lambda text: repr(text[:50]),
)
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError):
        parse_executor_job(text)


@given(json_values, json_values)
def test_whatever_comes_is_a_job_or_a_usage_error(pages: Any, played: Any) -> None:
    for data in (pages, {"pages": pages, "traces": played}):
        try:
            parse_executor_job(json.dumps(data).encode())
        except UsageError:
            continue


def test_a_trace_that_cannot_be_played_is_no_job() -> None:
    job = ExecutorJob(pages=8, traces=((Step(0, Exit()),),))

    with pytest.raises(UsageError, match="process 0 cannot exit"):
        parse_executor_job(render_executor_job(job))
