"""What the observer is asked to do: cells and traces to stop at, traces to end."""

import json
from dataclasses import dataclass
from typing import Any

from harness.errors import UsageError
from harness.worker.executor import ExecutorJob, render_executor_job
from harness.worker.executor.executor_job import parse_executor_job
from harness.worker.measure.job import Job, parse_job, render_job


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverJob:
    """Each cell of ``cells`` is built, named and forked ``children`` times.

    The traces of ``cycles`` are played to their end before, those of ``held`` are
    held at it, after. ``caches`` and ``functions`` are what the kernel counts
    meanwhile.
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
    """The inverse. Raises UsageError or RecordError for what is no job."""
    try:
        # Any: checked by the constructors and by the tests of the inverse.
        document: Any = json.loads(text)
        if type(document["children"]) is not int or document["children"] < 0:
            raise ValueError("children are a number")
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
