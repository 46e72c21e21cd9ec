"""Plays traces on the running kernel and writes the kernel's answers."""

from harness.worker.executor.executor_job import (
    ExecutorJob,
    parse_executor_job,
    render_executor_job,
)

__all__ = ["ExecutorJob", "parse_executor_job", "render_executor_job"]
