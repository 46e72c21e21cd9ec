"""Plays a job with the worker of one revision, whose package PYTHONPATH finds.

As a script of its own: ``python3 player.py KERNEL CONSOLE JOB``, the job as this
revision or the other renders it. Records go to standard output as they are rendered.
"""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.arch import arch_named

if importlib.util.find_spec("harness.targets") is not None:
    from harness.targets import QemuTarget
    from harness.worker.measure import Record, parse_job, render_record
elif not TYPE_CHECKING:
    # Of an old revision, too: rooms had these names until 0.3.
    from harness.measure import Record, parse_job, render_record
    from harness.target import QemuTarget


def play(kernel: Path, console: Path, job: Path) -> None:
    """Boot an ARM64 guest that counts instructions, as this revision does."""
    target = QemuTarget(arch=arch_named("aarch64"), kernel=kernel)

    def on_record(record: Record) -> None:
        sys.stdout.buffer.write(render_record(record))

    # How a revision measures is a part of what it measures.
    played = replace(parse_job(job.read_bytes()), conditions=target.conditions)
    target.run_job(played, on_record, console)


if __name__ == "__main__":
    play(*map(Path, sys.argv[1:]))
