"""kill -9 of what measures and plays, on this kernel: no process of theirs stays."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.host.programs import leashed
from harness.worker.executor.executor_job import ExecutorJob, render_executor_job
from harness.worker.measure import render_job
from harness.worker.measure.conditions import SILICON_HOST
from harness.workload import Store
from harness.workload.ops import Fork, Map, SetName, Step
from tests.jobs import job_of

pytestmark = pytest.mark.slow

DEADLINE_S = 60.0
# Forks as the player does, without what needs a kernel with names; then a call
# that never comes back.
PLAYER = """
import sys, time
from harness.worker.executor import executor, process
from harness.workload.ops import SetName
describe, call = executor.describe_kernel, process.call
executor.describe_kernel = lambda place: {**describe(place), "support": "supported"}
def slow(op, means):
    if isinstance(op, SetName):
        time.sleep(1000)
    call(op, means)
process.call = slow
sys.exit(executor.main(sys.argv[1:]))
"""


def marked(mark: Path) -> list[psutil.Process]:
    """Every process with the mark in its environment, the leash's own but for it."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ANONVMA_MARK") == str(mark):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def eldest(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Of some processes the one that none of the others started, but the leash.

    Not the one with the least pid: they begin again at the end.
    """
    ours = {}
    for process in processes:
        with suppress(psutil.Error):
            if "harness/host/programs.py" not in " ".join(process.cmdline()):
                ours[process.pid] = process
    found = []
    for process in ours.values():
        with suppress(psutil.Error):
            if process.ppid() not in ours:
                found.append(process)
    return found[:1]


@contextmanager
def running(argv: list[str], mark: Path, *, leash: bool) -> Iterator[list[str]]:
    """A worker or player, under a leash or alone; waits until it has a child."""
    env = {**os.environ, "ANONVMA_MARK": str(mark)}
    with open(os.devnull, "wb") as null:
        argv = [*argv, str(null.fileno())]
        if leash:
            with leashed(argv, env=env, pass_fds=(null.fileno(),)):
                yield argv
            return
        with subprocess.Popen(argv, env=env, pass_fds=(null.fileno(),)) as process:
            try:
                yield argv
            finally:
                process.kill()


def ended_by_kill(argv: list[str], mark: Path, *, leash: bool) -> int:
    """How many were killed or ended, when the first of them was killed."""
    with running(argv, mark, leash=leash):
        end = time.monotonic() + DEADLINE_S
        first: list[psutil.Process] = []
        while time.monotonic() < end and not (first and first[0].children()):
            first = eldest(marked(mark))
        assert first[0].children()
        everyone = [first[0], *first[0].children(recursive=True)]
        os.kill(first[0].pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(everyone[1:], timeout=DEADLINE_S)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    # Those that were forked after everyone was listed end as soon.
    while marked(mark) and time.monotonic() < end:
        time.sleep(0.01)
    assert marked(mark) == []
    return len(everyone)


@pytest.mark.long
@pytest.mark.parametrize("leash", [True, False], ids=["leashed", "alone"])
def test_a_worker_that_is_killed_in_a_cell_leaves_no_child(
    tmp_path: Path, leash: bool
) -> None:
    conditions = replace(SILICON_HOST, settle_ms=60_000)
    job = job_of([(Store.ABSENT, 50, 0, "none")], stores=(Store.ABSENT,),
                 variant="host", conditions=conditions)  # fmt: skip
    (tmp_path / "job.json").write_bytes(render_job(job))
    argv = [
        sys.executable,
        "-m",
        "harness.worker.measure.worker",
        str(tmp_path / "job.json"),
    ]

    assert ended_by_kill(argv, tmp_path, leash=leash) >= 2


@pytest.mark.long
@pytest.mark.parametrize("leash", [True, False], ids=["leashed", "alone"])
def test_a_player_that_is_killed_in_a_trace_leaves_no_process(
    tmp_path: Path, leash: bool
) -> None:
    steps = (
        Step(0, Map(0, 8, 3)), *(Step(0, Fork(n)) for n in (1, 2, 3)),
        Step(0, SetName(0, 4096, "name")),
    )  # fmt: skip
    job = ExecutorJob(pages=8, traces=(steps,))
    (tmp_path / "job.json").write_bytes(render_executor_job(job))
    argv = [sys.executable, "-c", PLAYER, str(tmp_path / "job.json")]

    assert ended_by_kill(argv, tmp_path, leash=leash) >= 2
