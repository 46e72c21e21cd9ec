"""A worker that is started from its bundle is the worker."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.host.paths import package_dir
from harness.linux import AnonNameSupport, probe_anon_name
from harness.targets.bundle import Bundle, bundle_of
from harness.targets.guest import WORKER, workers_bundle
from harness.worker.measure import Run, Sample, parse_record, render_job
from harness.worker.measure.conditions import SILICON_HOST
from harness.workload import Store
from tests.jobs import job_of

# What took most of a start.
_DEAR = {
    "ast", "dataclasses", "dis", "hashlib", "inspect", "json", "pathlib", "random",
    "re", "tempfile", "tokenize", "typing", "urllib",
}  # fmt: skip
IMPORT = """
import sys
def main(here):
    import harness.worker.measure.worker
    print(*sys.modules)
"""
IMPORT_ALL = """
import sys
def main(here):
    for name in sorted(sys.meta_path[0].modules):
        __import__(name)
    print("all of", len(sys.meta_path[0].modules))
"""
RUN = """
import sys
def main(here):
    from harness.worker.measure.worker import main
    sys.exit(main(sys.argv[1:]))
"""


def start(
    folder: Path, init: str, *words: str, bundle: Bundle | None = None, fd: int = 2
) -> str:
    """What the first program of a guest writes, with another init in its bundle."""
    (folder / "guest_init.py").write_text(init)
    made = bundle or bundle_of(WORKER, beside=(folder / "guest_init.py",))
    (folder / "bundle").write_bytes(made.packed)
    first = package_dir() / "worker/guest_start.py"
    (folder / "init").write_bytes(first.read_bytes())
    # Nothing of ours can be found but in the bundle.
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "init"), *words],
        cwd=folder, stdout=subprocess.PIPE, pass_fds=(fd,), text=True, check=True,
        timeout=60,
    )  # fmt: skip
    return done.stdout


def test_a_worker_imports_little_of_the_standard_library(tmp_path: Path) -> None:
    modules = set(start(tmp_path, IMPORT).split())

    assert "harness.worker.measure.experiment" in modules
    assert modules & _DEAR == set()


def test_all_that_a_worker_may_come_to_import_is_in_the_bundle(tmp_path: Path) -> None:
    """What explains a failure, too, which is imported when there is one."""
    assert start(tmp_path, IMPORT_ALL).startswith("all of ")


def test_the_rooms_are_those_that_run_next_to_a_kernel() -> None:
    packed = workers_bundle().packed

    assert b"harness.maps.columns" in packed
    for above in (
        b"harness.campaign",
        b"harness.worker.executor",
        b"harness.host.programs",
    ):
        assert above not in packed


def test_a_bundle_is_the_same_wherever_the_checkout_is() -> None:
    """A path in it would be in the heap that fork copies."""
    assert os.fsencode(package_dir().parent) not in workers_bundle().packed


def test_what_it_imports_of_python_is_known() -> None:
    standard = workers_bundle().standard

    assert {"ctypes", "os", "random", "subprocess", "_json"} <= {*standard}
    assert list(standard) == sorted(standard)
    assert {name.partition(".")[0] for name in standard} <= (
        sys.stdlib_module_names
        | {"_sha2", "_sha256"}  # Of one version of Python or of another.
    )


def test_a_bundle_of_another_python_is_left_alone(tmp_path: Path) -> None:
    """The sources beside it are compiled then."""
    other = Bundle(b"\0\0\0\0" + b"no code of this one", ())
    init = "def main(here):\n    print('from its source in', here)\n"

    said = start(tmp_path, init, bundle=other)

    assert said == f"from its source in {tmp_path}\n"


@pytest.mark.slow
def test_a_worker_from_its_bundle_measures_and_writes_what_any_does(
    tmp_path: Path,
) -> None:
    named = probe_anon_name().support is AnonNameSupport.SUPPORTED
    store = Store.REFCOUNTED if named else Store.ABSENT
    job = job_of(
        [(store, 40, 1, "none")], stores=(store,), repetitions=1,
        conditions=replace(SILICON_HOST, settle_ms=0),
    )  # fmt: skip
    (tmp_path / "job.json").write_bytes(render_job(job))
    with open(tmp_path / "records", "wb") as out:
        fd = out.fileno()
        start(tmp_path, RUN, str(tmp_path / "job.json"), str(fd), fd=fd)

    lines = (tmp_path / "records").read_bytes().splitlines()
    run, *samples, end = map(parse_record, lines)
    assert isinstance(run, Run)
    assert (run.store, run.vmas, run.written_pages) == (store.value, 40, 1)
    assert [s.metric for s in samples if isinstance(s, Sample)] == [
        "fork", "exit_reap", "fork", "exit_reap", "munmap",
    ]  # fmt: skip
    assert getattr(end, "valid", False)
