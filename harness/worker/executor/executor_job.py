"""What a player is asked: traces, each to be played by processes of its own."""

import json
from dataclasses import dataclass

from harness.errors import UsageError
from harness.workload.ops import Step, check_steps, parse_step, render_step


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorJob:
    """Traces over arenas of ``pages`` pages.

    Maps are looked at after each step, or only ``at_end`` of each trace.
    """

    pages: int
    traces: tuple[tuple[Step, ...], ...]
    at_end: bool = False


def render_executor_job(job: ExecutorJob) -> bytes:
    """A job as JSON."""
    traces = [[render_step(step) for step in steps] for steps in job.traces]
    data = {"pages": job.pages, "traces": traces, "at_end": job.at_end}
    return json.dumps(data, separators=(",", ":")).encode()


def parse_executor_job(text: bytes) -> ExecutorJob:
    """The inverse. Raises UsageError for what is no job, or cannot be played."""
    try:
        data = json.loads(text)
        pages, traces = data["pages"], data["traces"]
        if type(pages) is not int or type(traces) is not list:
            raise ValueError("pages are a number, traces are a list")
        job = ExecutorJob(
            pages=pages,
            traces=tuple(tuple(map(parse_step, steps)) for steps in traces),
            at_end=bool(data["at_end"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"not a job for a player: {error}") from None
    for steps in job.traces:
        check_steps(list(steps), job.pages)
    return job
