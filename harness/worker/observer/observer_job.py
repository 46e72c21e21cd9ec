"""The job of the observer: cells and traces to hold, and traces to play to the end."""

import json
from dataclasses import dataclass
from typing import Any

from harness.errors import UsageError
from harness.worker.executor import ExecutorJob, render_executor_job
from harness.worker.executor.executor_job import parse_executor_job
from harness.worker.measure.job import Job, parse_job, render_job


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverJob:
    """What the observer does, in this order.

    1. It plays the traces of ``cycles``; their processes exit.
    2. It builds each cell of ``cells``, names it and forks it ``children`` times.
    3. It plays the traces of ``held`` and keeps their processes.

    It reports the objects in the slab ``caches`` and the calls of ``functions``.
    """

    cells: Job
    children: int
    caches: tuple[str, ...]
    functions: tuple[str, ...]
    cycles: ExecutorJob
    held: ExecutorJob


def render_observer_job(job: ObserverJob) -> bytes:
    """The job as JSON."""
    document = {
        "cells": json.loads(render_job(job.cells)),
        "children": job.children,
        "caches": job.caches,
        "functions": job.functions,
        "cycles": json.loads(render_executor_job(job.cycles)),
        "held": json.loads(render_executor_job(job.held)),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def parse_observer_job(text: bytes) -> ObserverJob:
    """The inverse of ``render_observer_job``.

    Raises UsageError or RecordError for anything else.
    """
    try:
        # Any: checked by the constructors and by the tests of the inverse.
        document: Any = json.loads(text)
        if type(document["children"]) is not int or document["children"] < 0:
            raise ValueError("children must be a whole number, 0 or more")
        return ObserverJob(
            cells=parse_job(json.dumps(document["cells"]).encode()),
            children=document["children"],
            caches=tuple(map(str, document["caches"])),
            functions=tuple(map(str, document["functions"])),
            cycles=parse_executor_job(json.dumps(document["cycles"]).encode()),
            held=parse_executor_job(json.dumps(document["held"]).encode()),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"not a job for the observer: {error!r}") from None
