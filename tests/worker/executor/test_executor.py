"""What the executor refuses before it plays; nothing of the machine is changed."""

import os
import re

import pytest

from harness.errors import EnvironmentFault
from harness.worker.executor import ExecutorJob, executor
from harness.worker.executor.executor import check_allowed
from harness.workload.ops import Heap, Limit, Map, Op, Step

MAP = Map(0, 8, 3)


def job_of(*ops: Op) -> ExecutorJob:
    return ExecutorJob(
        pages=8, traces=((Step(0, MAP),), tuple(Step(0, op) for op in ops))
    )


@pytest.mark.parametrize(
    ("op", "limits", "heaps"),
    [
        (MAP, False, False),
        (Limit(3), True, False),
        (Heap(3), False, True),
    ],
)
def test_what_a_process_may_do_it_plays(op: Op, limits: bool, heaps: bool) -> None:
    check_allowed(job_of(MAP, op), limits=limits, heaps=heaps)


REFUSED = [
    (
        Limit(3),
        "may not change vm.max_map_count",
        "as root, or without the theme limit",
    ),
    (Heap(3), "may not move the heap", "as root, or without the theme heap"),
]


@pytest.mark.parametrize(("op", "why", "mend"), REFUSED)
def test_what_it_may_not_do_is_refused_with_what_mends_it(
    op: Op, why: str, mend: str
) -> None:
    with pytest.raises(EnvironmentFault, match=f"{why}.*{mend}"):
        check_allowed(job_of(MAP, op), limits=False, heaps=False)


class NoLimit:
    """In place of the machine's setting, which stays out of it."""

    allowed = False


@pytest.mark.parametrize(("op", "why", "mend"), REFUSED)
def test_a_job_is_refused_before_any_of_it_is_played(
    op: Op, why: str, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = {"support": "supported", "behaviour": {"heap_strict": None}}
    monkeypatch.setattr(executor, "describe_kernel", lambda arena: dict(kernel))
    monkeypatch.setattr(executor, "find_arena_address", lambda: None)
    monkeypatch.setattr(executor, "MapCountLimit", NoLimit)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    reading, writing = os.pipe()

    with pytest.raises(EnvironmentFault, match=why):
        executor.play(job_of(MAP, op), writing)

    os.close(writing)
    with open(reading, "rb") as said:
        assert re.fullmatch(rb'{"kernel":.*}\n', said.read())
