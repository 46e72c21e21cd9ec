"""kill -9 of the harness in the middle of a run: nothing is lost, nothing stays."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.analysis import load
from harness.targets import QemuTarget
from tests.guest.test_faults import guests_of

pytestmark = pytest.mark.guest


def test_records_stay_readable_no_guest_stays_and_the_next_run_works(
    boot_target: Callable[..., QemuTarget], tmp_path: Path
) -> None:
    boot_target()
    argv = [
        sys.executable, "-m", "harness", "run", "--vmas", "500", "--boots", "1",
        "--naming", "distinct:20", "--blocks", "50", "--repetitions", "3",
        "--name", "killed", "--results", str(tmp_path),
    ]  # fmt: skip
    records = tmp_path / "killed" / "records.jsonl"

    harness = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    while not records.exists() or records.read_bytes().count(b"\n") < 40:
        assert harness.poll() is None, "the run ended before it could be killed"
    guests = guests_of(tmp_path)
    os.kill(harness.pid, signal.SIGKILL)
    harness.wait()

    assert guests
    _, alive = psutil.wait_procs(
        [psutil.Process(pid) for pid in guests if psutil.pid_exists(pid)], timeout=30
    )
    assert alive == []
    before = load(tmp_path / "killed")
    assert len(before) >= 20

    short = [
        *argv[: argv.index("--blocks")],
        "--name",
        "next",
        "--results",
        str(tmp_path),
    ]
    done = subprocess.run(short, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "What names cost at fork" in done.stdout
