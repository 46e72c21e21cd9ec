"""Small jobs for workers."""

from collections.abc import Sequence

from harness.worker.measure import Conditions, Job, PlannedCell
from harness.worker.measure.conditions import ICOUNT
from harness.workload import Cell, Store, layout_of, naming_from_label

BOTH = (Store.REFCOUNTED, Store.STRDUP)


def job_of(
    cells: Sequence[tuple[Store, int, int, str]],
    *,
    stores: tuple[Store, ...] = BOTH,
    variant: str = "switch",
    base: str = "6.12",
    conditions: Conditions = ICOUNT,
    repetitions: int = 2,
) -> Job:
    """A job of cells given as (store, VMAs, pages written, naming)."""
    return Job(
        campaign="test",
        session="test",
        boot=0,
        seed=1,
        variant=variant,
        base=base,
        stores=stores,
        conditions=conditions,
        launched="",
        warmups=1,
        repetitions=repetitions,
        cells=tuple(
            PlannedCell(
                block=0,
                cell=Cell(
                    store=store,
                    layout=layout_of(vmas, pages),
                    naming=naming_from_label(naming),
                ),
            )
            for store, vmas, pages, naming in cells
        ),
    )
