"""What runs next to the kernel, given what cannot be meant: one line, no traceback."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.linux.started import open_descriptor, read_job
from harness.worker.measure import one_file

WORKERS = (
    "harness.worker.measure.worker",
    "harness.worker.executor.executor",
    "harness.worker.observer.observer",
)


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("the kernel was asked")

    monkeypatch.setattr(one_file, "kernel_facts", refuse)


@pytest.mark.parametrize(
    "line",
    [
        [], ["nope"], ["\x1b[2J"], ["run"], ["doctor", "extra"], ["run", "--out"],
        *(
            ["run", "--out", "made", *words]
            for words in (
                ["--vmas", ""], ["--vmas", ","], ["--vmas", "0"], ["--vmas", "-1"],
                ["--vmas", "x"], ["--vmas", str(10**12)], ["--vmas", "9" * 5000],
                ["--vmas", "1,\x1b[2J"], ["--pages", "-1"], ["--pages", ""],
                ["--pages", "9" * 5000], ["--naming", ""], ["--naming", "shared:80"],
                ["--naming", "shared"], ["--naming", "nope:8"], ["--naming", "\x1b[2J"],
                ["--naming", "shared:" + "9" * 5000], ["--naming", "distinct:1"],
                ["--blocks", "0"], ["--blocks", str(10**12)], ["--blocks", str(10**9)],
                ["--repetitions", "0"], ["--repetitions", "1.5"], ["--seed", "-1"],
                ["--seed", "9" * 5000], ["--seed", str(2**63)], ["--nope", "1"],
                ["--vmas", "16777216", "--pages", "16777216"],
            )
        ),
        ["run", "--out", "missing/made"], ["run", "--out", "there"],
        ["run", "--out", "."], ["run", "--out", "/proc/made"], ["run", "--out", ""],
        ["run", "--out", "x" * 5000],
    ],
    ids=lambda line: ascii(" ".join(line))[:60],
)  # fmt: skip
@pytest.mark.usefixtures("unasked")
def test_the_one_file_refuses_what_cannot_be_meant(
    line: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    try:
        status: object = one_file.main(line)
    except SystemExit as leaving:
        status = leaving.code

    err = capsys.readouterr().err
    said = [x for x in err.splitlines() if x.startswith("anonvma.pyz") and ": " in x]
    assert status in (2, 3)
    assert len(said) == 1, err
    assert len(said[0]) < 1000
    assert not {c for c in err if c != "\n" and not c.isprintable()}
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_file_of_records_is_gone_where_nothing_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("no /proc here")

    monkeypatch.setattr(one_file, "kernel_facts", fail)

    assert one_file.main(["run", "--out", str(tmp_path / "made")]) == 3
    assert list(tmp_path.iterdir()) == []


def run_module(module: str, words: Sequence[str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", WORKERS)
@pytest.mark.parametrize(
    "words", [[], ["job"], ["missing", "1"], ["/dev/null", "1"], ["/dev/null", "x"]]
)
def test_a_worker_reports_what_it_expected(module: str, words: list[str]) -> None:
    status, said = run_module(module, words)

    assert status in (2, 3)
    assert len(said.splitlines()) == 1, said


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["x"], ["-1"], ["9" * 5000], ["1", "1"]])
def test_the_facts_command_reports_what_it_expected(words: list[str]) -> None:
    status, said = run_module("harness.worker.measure.facts", words)

    assert status == 2
    assert len(said.splitlines()) == 1, said


def test_a_job_and_a_descriptor_are_read(tmp_path: Path) -> None:
    (tmp_path / "job").write_bytes(b"{}")
    reading, writing = os.pipe()
    try:
        assert read_job([str(tmp_path / "job"), str(writing)]) == (b"{}", writing)
        with pytest.raises(Exception, match="open for writing"):
            open_descriptor(str(reading))
    finally:
        os.close(reading)
        os.close(writing)
