"""A job: the cells that a worker must measure, as one JSON document."""

from dataclasses import asdict, dataclass
from typing import Any

from harness.errors import RecordError, UsageError
from harness.lean.texts import parse_json, render_json
from harness.worker.measure.conditions import Conditions
from harness.worker.measure.records import Unit
from harness.workload import Cell, Layout, Store, naming_from_label


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """A cell and the block of the plan that it belongs to."""

    block: int
    cell: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The work of one boot; the worker runs the cells in this order.

    The first ``warmups`` forks of each process are recorded but not analysed.
    The worker cannot find out variant, base and conditions itself: it copies them from
    here into its records.
    """

    campaign: str
    session: str
    boot: int
    seed: int
    variant: str
    base: str
    stores: tuple[Store, ...]
    conditions: Conditions
    launched: str
    warmups: int
    repetitions: int
    cells: tuple[PlannedCell, ...]


def render_job(job: Job) -> bytes:
    """The job as JSON."""
    document = asdict(job)
    document["conditions"]["unit"] = job.conditions.unit.value
    document["stores"] = [store.value for store in job.stores]
    document["cells"] = [
        {
            "block": planned.block,
            "store": planned.cell.store.value,
            "layout": asdict(planned.cell.layout),
            "naming": planned.cell.naming.label,
        }
        for planned in job.cells
    ]
    return render_json(document).encode()


def parse_job(text: bytes) -> Job:
    """The inverse of ``render_job``; RecordError for anything else."""
    try:
        # Any: checked by the constructors and by the tests of the inverse.
        document: Any = parse_json(text)
        document["conditions"] = _conditions(document["conditions"])
        document["stores"] = tuple(Store(store) for store in document["stores"])
        document["cells"] = tuple(
            PlannedCell(
                block=planned["block"],
                cell=Cell(
                    store=Store(planned["store"]),
                    layout=Layout(**planned["layout"]),
                    naming=naming_from_label(str(planned["naming"])),
                ),
            )
            for planned in document["cells"]
        )
        job = Job(**document)
        # Refuses a float: no job has one, and a record cannot contain one.
        render_job(job)
        return job
    except (ValueError, KeyError, TypeError, RecursionError, UsageError) as error:
        raise RecordError(text, f"not a job ({error!r})") from None


def _conditions(found: dict[str, Any]) -> Conditions:
    return Conditions(
        **{
            **found,
            "unit": Unit(found["unit"]),
            "settings": tuple((str(name), str(v)) for name, v in found["settings"]),
        }
    )
