"""The worker on this very kernel: what needs no names works on any."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.linux import AnonNameSupport, probe_anon_name
from harness.measure import (
    Job,
    PlannedCell,
    Run,
    RunEnd,
    Sample,
    Unit,
    parse_record,
    render_job,
)
from harness.workload import Cell, Store, layout_of, naming_from_label


@pytest.fixture
def here() -> Store:
    """The store of the kernel that the tests run on."""
    probe = probe_anon_name()
    if probe.support is AnonNameSupport.SUPPORTED:
        return Store.REFCOUNTED
    return Store.ABSENT


def job_of(store: Store, naming: str, *, stores: tuple[Store, ...]) -> Job:
    """One cell of 40 VMAs, two forks."""
    cell = Cell(store=store, layout=layout_of(40, 1), naming=naming_from_label(naming))
    return Job(
        campaign="c", session="s", boot=3, seed=9, variant="here", base="any",
        stores=stores, target="host", accelerator="none", unit=Unit.NS,
        launched="now", settle_ms=0, settings=(), warmups=1, repetitions=1,
        cells=(PlannedCell(block=2, cell=cell),),
    )  # fmt: skip


def run_worker(job: Job, folder: Path) -> tuple[int, bytes, str]:
    """The worker's exit status, its records and its words."""
    (folder / "job.json").write_bytes(render_job(job))
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe:
        done = subprocess.Popen(
            [sys.executable, "-m", "harness.measure.worker",
             str(folder / "job.json"), str(writing)],
            pass_fds=(writing,), stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.close(writing)
        records = pipe.read()
        _, words = done.communicate()
    return done.returncode, records, words


@pytest.mark.slow
def test_an_unnamed_cell_is_measured_on_any_kernel(here: Store, tmp_path: Path) -> None:
    status, text, words = run_worker(job_of(here, "none", stores=(here,)), tmp_path)

    assert status == 0, words
    run, *between, end = (parse_record(line) for line in text.splitlines())
    samples = [r for r in between if isinstance(r, Sample)]
    assert isinstance(run, Run)
    assert (run.boot, run.block, run.vmas, run.written_pages) == (3, 2, 40, 1)
    assert (run.unit, run.store) == ("ns", here.value)
    assert end == RunEnd(run=run.run, valid=True, reason="")
    assert [s.metric for s in samples] == ["fork", "exit_reap"] * 2 + ["munmap"]
    assert [s.order for s in samples] == list(range(5))
    assert all(s.value > 0 for s in samples)
    assert all(a.began <= b.began for a, b in itertools.pairwise(samples))


@pytest.mark.slow
def test_a_kernel_that_is_not_what_the_job_says_ends_with_status_4(
    here: Store, tmp_path: Path
) -> None:
    other = Store.REFCOUNTED if here is Store.ABSENT else Store.ABSENT

    status, text, words = run_worker(job_of(other, "none", stores=(other,)), tmp_path)

    assert (status, text) == (4, b"")
    assert "the probe says" in words


@pytest.mark.slow
def test_a_switch_that_is_not_there_ends_with_status_4(
    here: Store, tmp_path: Path
) -> None:
    stores = (Store.REFCOUNTED, Store.STRDUP)

    status, text, words = run_worker(
        job_of(Store.REFCOUNTED, "none", stores=stores), tmp_path
    )

    assert (status, text) == (4, b"")
    assert "has no vm.anon_name_copy" in words or here is not Store.ABSENT


@pytest.mark.slow
def test_a_job_that_cannot_be_read_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")

    done = subprocess.run(
        [sys.executable, "-m", "harness.measure.worker", tmp_path / "job.json", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 3
    assert done.stderr.startswith("worker: not a record: not a job")
