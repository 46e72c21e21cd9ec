import pytest

from harness.errors import HarnessError
from harness.worker.executor import ExecutorJob
from harness.worker.measure import Job, PlannedCell
from harness.worker.measure.conditions import ICOUNT
from harness.worker.observer.observer_job import (
    ObserverJob,
    parse_observer_job,
    render_observer_job,
)
from harness.workload import Cell, Layout, Store
from harness.workload.naming import naming_from_label
from harness.workload.ops import Fork, Map, Step

CELL = Cell(
    store=Store.STRDUP, layout=Layout(vmas=3), naming=naming_from_label("shared:8")
)
JOB = ObserverJob(
    cells=Job(
        campaign="c", session="s", boot=0, seed=1, variant="v", base="6.12",
        stores=(Store.STRDUP,), conditions=ICOUNT, launched="", warmups=0,
        repetitions=0, cells=(PlannedCell(block=0, cell=CELL),),
    ),
    children=2,
    caches=("kmalloc-8",),
    functions=("f",),
    cycles=ExecutorJob(pages=8, traces=((Step(0, Map(0, 8, 3)),),)),
    held=ExecutorJob(pages=8, traces=((Step(0, Fork(1)),),)),
)  # fmt: skip


def test_a_job_is_read_as_it_was_written() -> None:
    assert parse_observer_job(render_observer_job(JOB)) == JOB


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"children":2', b'"children":-1'),
        (b'"children":2', b'"children":"2"'),
        (b'"cycles"', b'"circles"'),
        (b'"caches":["kmalloc-8"]', b'"caches":1'),
        (b"{", b"["),
    ],
)
def test_what_is_no_job_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(HarnessError, match="not a job"):
        parse_observer_job(render_observer_job(JOB).replace(old, new))
