"""What runs next to the kernel needs no more than a bare Python."""

import subprocess
import sys

import pytest

from harness.host.paths import package_dir

# Bare: no site-packages, no environment, the folder of harness and nothing else.
IMPORTED = """
import sys
sys.path.insert(0, sys.argv[1])
import harness.worker.measure.worker
print("\\n".join(sys.modules))
"""


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """The modules of a fresh interpreter that has imported the worker."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORTED, package_dir().parent],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_worker_imports_the_standard_library_and_harness_only(
    imported: set[str],
) -> None:
    rooms = {name.partition(".")[0] for name in imported}

    assert rooms - sys.stdlib_module_names - {"__main__"} == {"harness"}


def test_the_worker_imports_no_room_that_stands_above_it(imported: set[str]) -> None:
    rooms = {name.split(".")[1] for name in imported if name.startswith("harness.")}

    assert rooms == {
        "errors", "lean", "linux", "maps", "worker", "workload",
    }  # fmt: skip
