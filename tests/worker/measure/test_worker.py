"""The worker on this very kernel: what needs no names works on any."""

import hashlib
import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from harness.errors import EnvironmentFault
from harness.linux import AnonNameSupport, probe_anon_name
from harness.worker.measure import (
    Job,
    Run,
    RunEnd,
    Sample,
    parse_record,
    render_job,
    worker,
)
from harness.worker.measure.conditions import EMULATED, SILICON_HOST
from harness.worker.measure.experiment import CellRequest
from harness.workload import Store
from tests.jobs import job_of


@pytest.fixture
def here() -> Store:
    """The store of the kernel that the tests run on."""
    probe = probe_anon_name()
    if probe.support is AnonNameSupport.SUPPORTED:
        return Store.REFCOUNTED
    return Store.ABSENT


def one_cell(store: Store, *, vmas: int = 40, stores: tuple[Store, ...] = ()) -> Job:
    """One unnamed cell, two forks, on this very kernel."""
    return job_of(
        [(store, vmas, 1, "none")],
        stores=stores or (store,),
        conditions=replace(SILICON_HOST, settle_ms=0),
        repetitions=1,
    )


def run_worker(
    job: Job, folder: Path, *, stderr: int | IO[bytes] = subprocess.PIPE
) -> tuple[int, bytes, str]:
    """The worker's exit status, its records and its words."""
    (folder / "job.json").write_bytes(render_job(job))
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe:
        done = subprocess.Popen(
            [sys.executable, "-m", "harness.worker.measure.worker",
             str(folder / "job.json"), str(writing)],
            pass_fds=(writing,), stderr=stderr, text=True,
        )  # fmt: skip
        os.close(writing)
        records = pipe.read()
        _, words = done.communicate()
    return done.returncode, records, words


@pytest.mark.slow
def test_an_unnamed_cell_is_measured_on_any_kernel(here: Store, tmp_path: Path) -> None:
    status, text, words = run_worker(one_cell(here), tmp_path)

    assert status == 0, words
    run, *between, end = (parse_record(line) for line in text.splitlines())
    samples = [r for r in between if isinstance(r, Sample)]
    assert isinstance(run, Run)
    assert (run.boot, run.block, run.vmas, run.written_pages) == (0, 0, 40, 1)
    assert (run.unit, run.store) == ("ns", here.value)
    *sealed, _ = text.splitlines(keepends=True)
    seal = hashlib.sha256(b"".join(sealed)).hexdigest()
    assert end == RunEnd(run=run.run, valid=True, reason="", seal=seal)
    assert [s.metric for s in samples] == ["fork", "exit_reap"] * 2 + ["munmap"]
    assert [s.order for s in samples] == list(range(5))
    assert all(s.value > 0 for s in samples)
    assert all(a.began <= b.began for a, b in itertools.pairwise(samples))


@pytest.mark.slow
def test_a_worker_whose_words_nobody_can_keep_ends_as_any_other(
    here: Store, tmp_path: Path
) -> None:
    """As where its console is a file on a disk that is full."""
    other = Store.REFCOUNTED if here is Store.ABSENT else Store.ABSENT
    with open("/dev/full", "wb") as full:
        status, text, _ = run_worker(one_cell(here), tmp_path, stderr=full)
        refused, _, _ = run_worker(one_cell(other), tmp_path, stderr=full)

    assert status == 0
    assert isinstance(parse_record(text.splitlines()[-1]), RunEnd)
    assert refused == 4


@pytest.mark.slow
def test_another_kernel_than_the_job_expects_is_status_4(
    here: Store, tmp_path: Path
) -> None:
    other = Store.REFCOUNTED if here is Store.ABSENT else Store.ABSENT

    status, text, words = run_worker(one_cell(other), tmp_path)

    assert (status, text) == (4, b"")
    assert "the probe says" in words


@pytest.mark.slow
def test_a_switch_that_is_not_there_ends_with_status_4(
    here: Store, tmp_path: Path
) -> None:
    stores = (Store.REFCOUNTED, Store.STRDUP)

    status, text, words = run_worker(
        one_cell(Store.REFCOUNTED, stores=stores), tmp_path
    )

    assert (status, text) == (4, b"")
    assert "has no sysctl vm.anon_name_copy" in words or here is not Store.ABSENT


@pytest.mark.slow
def test_a_job_that_cannot_be_read_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")

    done = subprocess.run(
        [sys.executable, "-m", "harness.worker.measure.worker",
         tmp_path / "job.json", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 3
    assert done.stderr.startswith("worker: not a record: not a job")


@pytest.mark.slow
def test_more_vmas_than_may_be_had_end_as_an_invalid_run_that_names_the_setting(
    here: Store, tmp_path: Path
) -> None:
    """Nobody may raise vm.max_map_count past what an int holds."""
    status, text, words = run_worker(one_cell(here, vmas=2**31), tmp_path)

    assert status == 0, words
    run, end = (parse_record(line) for line in text.splitlines())
    assert isinstance(run, Run)
    assert isinstance(end, RunEnd)
    assert not end.valid
    assert f"as root: sysctl vm.max_map_count={2**31 + 502}" in end.reason


@pytest.mark.slow
def test_samples_of_an_emulator_without_a_clock_are_kept_as_invalid(
    here: Store, tmp_path: Path
) -> None:
    job = replace(one_cell(here), conditions=replace(EMULATED, settings=()))

    _, text, _ = run_worker(job, tmp_path)

    records = [parse_record(line) for line in text.splitlines()]
    samples = [record for record in records if isinstance(record, Sample)]
    assert samples
    assert {(s.valid, s.reason) for s in samples} == {(False, EMULATED.unusable)}


def request_of(store: Store) -> CellRequest:
    """A cell that no process looks at: what measures is another in these tests."""
    return CellRequest(
        cell=one_cell(store).cells[0].cell, run="r", conditions=SILICON_HOST, seed=1,
        warmups=0, repetitions=1, describe=lambda lines: pytest.fail("described"),
        current_store=lambda: store, emit=lambda record: None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EnvironmentFault("the disk is full"), "the disk is full"),
        (OSError(12, "Cannot allocate memory"), "Cannot allocate memory"),
    ],
)
def test_a_cell_that_cannot_be_measured_is_reported_in_one_line(
    error: Exception, words: str, here: Store, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fail(request: CellRequest) -> int:
        raise error

    monkeypatch.setattr(worker, "_run_cell", fail)

    with pytest.raises(EnvironmentFault, match="ended with status 1"):
        worker._run_cell_in_child(request_of(here))

    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith("cell [")
    assert said.endswith(words)


def test_a_terminal_s_ctrl_c_is_not_the_cell_s(
    here: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupt(request: CellRequest) -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    monkeypatch.setattr(worker, "_run_cell", interrupt)

    worker._run_cell_in_child(request_of(here))

    assert capfd.readouterr().err == ""
