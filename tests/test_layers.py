"""Each rule of pyproject.toml goes red when a violation of it is planted."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.paths import package_dir

pytestmark = pytest.mark.slow

LAYERS = "Layers"
SCIENCE = "Only analysis knows the scientific stack"
BARE = "What runs next to the kernel imports the standard library only"
BLIND = "Who measures or plays does not know the answer"
DEAF = "The judge cannot ask the kernel"
HANDS_OFF = "Only the tracer knows ptrace"
FROM_OUTSIDE = "Only vmcore knows drgn"
TEMPLATES = "Only analysis knows jinja2"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package and its rules, to be spoilt."""
    shutil.copytree(
        package_dir(),
        tmp_path / "harness",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(package_dir().parent / "pyproject.toml", tmp_path)
    return tmp_path


def run_tool(name: str, *arguments: str, folder: Path) -> tuple[int, str]:
    """The exit status and the output of a tool of this environment."""
    done = subprocess.run(
        [Path(sys.executable).parent / name, *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def plant(checkout: Path, module: str, line: str) -> None:
    """Begin a module with an import."""
    path = checkout / "harness" / module
    path.write_text(f"{line}\n{path.read_text()}")


def test_the_package_keeps_every_rule(checkout: Path) -> None:
    status, output = run_tool("lint-imports", folder=checkout)

    assert status == 0, output
    for contract in (
        LAYERS, SCIENCE, BARE, BLIND, DEAF, HANDS_OFF, FROM_OUTSIDE, TEMPLATES,
    ):  # fmt: skip
        assert f"{contract} KEPT" in output
    assert "Contracts: 8 kept, 0 broken." in output


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("linux/uapi.py", "import harness.campaign", LAYERS),
        ("workload/cell.py", "import harness.linux", LAYERS),
        ("measure/records.py", "import harness.target", LAYERS),
        ("analysis/frames.py", "import harness.campaign", LAYERS),
        ("analysis/frames.py", "import harness.target", LAYERS),
        ("target/cpio.py", "import harness.kbuild", LAYERS),
        ("campaign/plan.py", "import harness.cli", LAYERS),
        ("errors.py", "import harness.paths", LAYERS),
        ("finding.py", "import harness.campaign", LAYERS),
        ("__init__.py", "import harness.analysis", LAYERS),
        ("__init__.py", "import pandas", BARE),
        ("maps/lines.py", "import harness.arch", LAYERS),
        ("programs.py", "import harness.ktap", LAYERS),
        ("ktap.py", "import harness.linux", LAYERS),
        ("campaign/plan.py", "import harness.kselftest", LAYERS),
        ("doctor.py", "import harness.kselftest", LAYERS),
        ("cli/tables.py", "import pandas", SCIENCE),
        ("target/cpio.py", "import pyarrow", SCIENCE),
        ("kselftest.py", "import pandas", SCIENCE),
        ("ktap.py", "import numpy", SCIENCE),
        ("measure/worker.py", "import psutil", BARE),
        ("linux/libc.py", "import rich", BARE),
        ("maps/lines.py", "import numpy", BARE),
        ("play/calls.py", "import harness.model", BLIND),
        ("target/cpio.py", "import harness.oracle", BLIND),
        ("model/vma.py", "import harness.linux", DEAF),
        ("oracle/judge.py", "import harness.play", DEAF),
        ("tracer.py", "import pandas", SCIENCE),
        ("play/calls.py", "import harness.tracer", LAYERS),
        ("target/uml.py", "import ptrace", HANDS_OFF),
        ("campaign/plan.py", "import drgn", FROM_OUTSIDE),
        ("cli/commands.py", "import jinja2", TEMPLATES),
        ("target/image.py", "import markupsafe", TEMPLATES),
    ],
)
def test_a_planted_import_breaks_the_rule_that_forbids_it(
    checkout: Path, module: str, line: str, contract: str
) -> None:
    plant(checkout, module, line)

    status, output = run_tool("lint-imports", folder=checkout)

    assert status == 1
    assert f"{contract} BROKEN" in output
    planted = "harness." + module.removesuffix(".py").replace("/", ".")
    planted = planted.removesuffix(".__init__")
    assert f"{planted} -> {line.removeprefix('import ')}" in output


def test_a_relative_import_is_refused(checkout: Path) -> None:
    check = ("check", "--no-cache", "--select", "TID", "harness")
    status, output = run_tool("ruff", *check, folder=checkout)
    assert status == 0, output

    plant(checkout, "linux/uapi.py", "from . import libc")
    status, output = run_tool("ruff", *check, folder=checkout)

    assert status == 1
    assert "TID252" in output
