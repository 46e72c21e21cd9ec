"""Command lines of a user who may write nowhere: one line, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_hostile import campaign_of

LINES = (
    ["run", "--target", "host", "--results", "kept", "--name", "c"],
    ["agree", "--results", "kept/x"],
    ["agree", "--record", "kept/x"],
    ["audit", "--results", "kept"],
    ["import", "records.jsonl", "--results", "kept"],
    ["image", "--out", "kept/image"],
    ["pyz", "--out", "kept/x.pyz"],
    ["report", "c", "--results", ".", "--out", "kept/x.html"],
    ["export", "c", "kept/x.parquet", "--results", "."],
    ["show", "c", "--results", "."],
)


@pytest.mark.long
@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_place_that_may_not_be_written_is_told_in_one_line(
    line: list[str], tmp_path: Path
) -> None:
    folder = campaign_of(tmp_path, "")
    folder.rename(tmp_path / "c")
    (tmp_path / "results").rmdir()
    (tmp_path / "records.jsonl").write_bytes(
        (tmp_path / "c/records.jsonl").read_bytes()
    )
    (tmp_path / "kept").mkdir()
    before = sorted(tmp_path.rglob("*"))

    for place in (tmp_path / "kept", tmp_path / "c"):
        place.chmod(0o555)
    # Root without its right to write everywhere; others are as they are.
    weaker = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*weaker, sys.executable, "-m", "harness", *line],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    for place in (tmp_path / "kept", tmp_path / "c"):
        place.chmod(0o755)

    said = [x for x in done.stderr.splitlines() if x.startswith("anonvma: ")]
    assert done.returncode in (2, 3), done.stderr
    assert "Traceback" not in done.stderr
    assert len(said) == 1, done.stderr
    assert sorted(tmp_path.rglob("*")) == before
