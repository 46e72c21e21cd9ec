"""Processes on the running kernel: facts, the executor, and one that hangs."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from harness.errors import GuestHung
from harness.targets import HostTarget, host, host_facts
from harness.worker.executor import ExecutorJob, render_executor_job
from harness.worker.measure.conditions import SILICON_HOST
from harness.workload.ops import Map, Step

# Says that it is there, and stays.
STAYS = """
import os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(1000)
"""


@pytest.fixture
def pid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the process that stays says its pid; it is started as any of ours."""
    path = tmp_path / "pid"
    monkeypatch.setattr(
        host, "_python", lambda module: [sys.executable, "-c", STAYS, str(path)]
    )
    return path


@pytest.mark.long
def test_a_kernel_s_facts_have_a_deadline(
    pid_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_FACTS_S", 2)

    with pytest.raises(GuestHung, match="did not finish within 2 s"):
        host_facts()

    assert not psutil.pid_exists(int(pid_file.read_text()))


def test_the_running_kernel_is_asked() -> None:
    assert host_facts().release == os.uname().release


def test_the_executor_runs_on_the_running_kernel(tmp_path: Path) -> None:
    """On a kernel without names it only describes the kernel."""
    job = render_executor_job(ExecutorJob(pages=8, traces=((Step(0, Map(0, 8, 3)),),)))
    output = bytearray()

    HostTarget(conditions=SILICON_HOST).run_executor(
        job, output.extend, tmp_path / "console.txt"
    )

    assert output.startswith(b'{"kernel"'), (tmp_path / "console.txt").read_text()
