"""Measures a kernel. Standard library only, because it runs next to the kernel."""

from harness.worker.measure.conditions import Conditions
from harness.worker.measure.job import Job, PlannedCell, parse_job, render_job
from harness.worker.measure.parsing import parse_record
from harness.worker.measure.protocol import PROTOCOL, protocol_of_version
from harness.worker.measure.records import (
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
    render_record,
)

__all__ = [
    "PROTOCOL",
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
    "protocol_of_version",
    "render_job",
    "render_record",
]
