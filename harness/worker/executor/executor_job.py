"""The job of an executor: the traces to play."""

import json
from dataclasses import dataclass

from harness.errors import UsageError
from harness.workload.ops import Step, check_steps, parse_step, render_step


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorJob:
    """Traces in an arena of ``pages`` pages.

    Maps are read after each step; with ``at_end``, only after each trace.
    """

    pages: int
    traces: tuple[tuple[Step, ...], ...]
    at_end: bool = False


def render_executor_job(job: ExecutorJob) -> bytes:
    """The job as JSON."""
    traces = [[render_step(step) for step in steps] for steps in job.traces]
    data = {"pages": job.pages, "traces": traces, "at_end": job.at_end}
    return json.dumps(data, separators=(",", ":")).encode()


def parse_executor_job(text: bytes) -> ExecutorJob:
    """The inverse of ``render_executor_job``.

    Raises UsageError for a malformed job or impossible steps.
    """
    try:
        data = json.loads(text)
        pages, traces = data["pages"], data["traces"]
        if type(pages) is not int or type(traces) is not list:
            raise ValueError("pages must be a number and traces a list")
        job = ExecutorJob(
            pages=pages,
            traces=tuple(tuple(map(parse_step, steps)) for steps in traces),
            at_end=bool(data["at_end"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"not a job for an executor: {error}") from None
    for steps in job.traces:
        check_steps(list(steps), job.pages)
    return job
