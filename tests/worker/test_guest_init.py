"""Init, as far as it can be tried without being process 1."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.host.paths import package_dir

RUN = """
import os, sys
import guest_init
os.environ["PYTHONPATH"] = os.getcwd()
os._exit(guest_init._run_worker("made", [], os.getcwd()))
"""


@pytest.mark.parametrize(
    ("body", "status"),
    [("return 4", 4), ("raise ValueError('said')", 1)],
    ids=["ends", "fails"],
)
def test_a_worker_s_status_is_its_own_where_words_cannot_be_kept(
    body: str, status: int, tmp_path: Path
) -> None:
    """As where the console is a file on a disk that is full."""
    worker = f"import sys\ndef main(argv):\n    sys.stderr.write('some')\n    {body}\n"
    (tmp_path / "made.py").write_text(worker)

    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-S", "-c", RUN],
            cwd=tmp_path, stdout=full, stderr=full, timeout=60, check=False,
            env={"PYTHONPATH": str(package_dir() / "worker")},
        )  # fmt: skip

    assert done.returncode == status
