"""Takes samples of a kernel; standard library only, for it runs next to one."""

from harness.measure.conditions import Conditions
from harness.measure.job import Job, PlannedCell, parse_job, render_job
from harness.measure.records import (
    SCHEMA,
    Count,
    Metric,
    Record,
    Run,
    RunEnd,
    Sample,
    Status,
    Superseded,
    Unit,
    parse_record,
    render_record,
)

__all__ = [
    "SCHEMA",
    "Conditions",
    "Count",
    "Job",
    "Metric",
    "PlannedCell",
    "Record",
    "Run",
    "RunEnd",
    "Sample",
    "Status",
    "Superseded",
    "Unit",
    "parse_job",
    "parse_record",
    "render_job",
    "render_record",
]
