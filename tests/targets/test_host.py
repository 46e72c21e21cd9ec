"""A process on the running kernel that is asked, and does not answer."""

import sys
from pathlib import Path

import psutil
import pytest

from harness.errors import GuestHung
from harness.targets import host, host_facts

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

    with pytest.raises(GuestHung, match="did not say what it is within 2 s"):
        host_facts()

    assert not psutil.pid_exists(int(pid_file.read_text()))
