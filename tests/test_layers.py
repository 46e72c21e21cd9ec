"""Each rule of pyproject.toml goes red when a violation of it is planted."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.host.paths import package_dir

pytestmark = pytest.mark.slow

LAYERS = "Layers"
SCIENCE = "Only analysis imports pandas and the packages around it"
AUDIT = "Only audit imports drgn"
TRACING = "Only tracing imports ptrace"
HOST = "Only the host's side imports psutil, rich and qemu"
WORKER = "What runs next to a kernel does not import the host's side"
TARGETS = "Targets do not know what the kernel should answer"
CHECKER = "The model and the trace checker cannot ask the kernel"
CONTRACTS = (LAYERS, SCIENCE, AUDIT, TRACING, HOST, WORKER, TARGETS, CHECKER)

# What anonvma.pyz holds: it runs on a bare Python.
BARE = ("arch.py", "errors.py", "lean", "linux", "maps", "worker", "workload")


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
    """Begin a module with an import; a module that is not there is made."""
    path = checkout / "harness" / module
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{line}\n{path.read_text() if path.exists() else ''}")


def test_the_package_keeps_every_rule(checkout: Path) -> None:
    status, output = run_tool("lint-imports", folder=checkout)

    assert status == 0, output
    for contract in CONTRACTS:
        assert f"{contract} KEPT" in output
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in output


# By contract: each module begins with an import that it forbids. Modules and rooms
# that are new are named by no contract.
PLANTED = {
    LAYERS: [
        ("linux/uapi.py", "import harness.campaign"),
        ("workload/cell.py", "import harness.linux"),
        ("worker/measure/records.py", "import harness.targets"),
        ("analysis/effects.py", "import harness.campaign"),
        ("analysis/effects.py", "import harness.targets"),
        ("targets/cpio.py", "import harness.audit"),
        ("kbuild/config.py", "import harness.targets"),
        ("campaign/plan.py", "import harness.cli"),
        ("campaign/plan.py", "import harness.conformance"),
        ("audit/audit.py", "import harness.conformance"),
        ("errors.py", "import harness.host"),
        ("__init__.py", "import harness.analysis"),
        ("maps/lines.py", "import harness.workload"),
        ("machine/doctor.py", "import harness.kselftest"),
        ("worker/executor/calls.py", "import harness.tracing"),
    ],
    SCIENCE: [
        ("new_module.py", "import pandas"),
        ("worker/measure/new_module.py", "import pandas"),
        ("campaign/new_module.py", "import pyarrow"),
        ("cli/new_module.py", "import jinja2"),
        ("__init__.py", "import pandas"),
    ],
    AUDIT: [
        ("host/scratch.py", "import drgn"),
        ("worker/measure/pooling.py", "import drgn"),
        ("conformance/new_module.py", "import drgn"),
    ],
    TRACING: [
        ("targets/uml.py", "import ptrace"),
    ],
    HOST: [
        ("worker/measure/worker.py", "import psutil"),
        ("linux/libc.py", "import rich"),
    ],
    WORKER: [
        ("worker/executor/calls.py", "import harness.model"),
        ("worker/new_module.py", "import harness.host.files"),
    ],
    TARGETS: [
        ("targets/cpio.py", "import harness.divergence"),
    ],
    CHECKER: [
        ("model/vma.py", "import harness.linux"),
        ("divergence/checker.py", "import harness.worker.executor"),
    ],
}


@pytest.mark.parametrize("contract", PLANTED)
def test_planted_imports_break_the_rule_that_forbids_them(
    checkout: Path, contract: str
) -> None:
    for module, line in PLANTED[contract]:
        plant(checkout, module, line)

    status, output = run_tool("lint-imports", folder=checkout)

    assert status == 1
    assert f"{contract} BROKEN" in output
    for module, line in PLANTED[contract]:
        planted = "harness." + module.removesuffix(".py").replace("/", ".")
        planted = planted.removesuffix(".__init__")
        assert f"{planted} -> {line.removeprefix('import ')}" in output


@pytest.mark.parametrize("module", ["new_module.py", "new_room/__init__.py"])
def test_what_stands_in_no_layer_breaks_the_layers(checkout: Path, module: str) -> None:
    plant(checkout, module, "import json")

    status, output = run_tool("lint-imports", folder=checkout)

    assert status == 1
    assert f"harness.{module.removesuffix('.py').removesuffix('/__init__')}" in output


def test_a_relative_import_is_refused(checkout: Path) -> None:
    check = ("check", "--no-cache", "--select", "TID", "harness")
    status, output = run_tool("ruff", *check, folder=checkout)
    assert status == 0, output

    plant(checkout, "linux/uapi.py", "from . import libc")
    status, output = run_tool("ruff", *check, folder=checkout)

    assert status == 1
    assert "TID252" in output


def test_what_runs_next_to_a_kernel_imports_the_standard_library_only() -> None:
    """Any other package, whether or not a contract knows it."""
    found = set()
    for room in BARE:
        path = package_dir() / room
        for source in path.rglob("*.py") if path.is_dir() else [path]:
            for node in ast.walk(ast.parse(source.read_bytes())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    found.add(str(node.module).partition(".")[0])

    # Python has _sha256 until 3.11, and _sha2 since 3.12.
    of_some_versions = {"_sha2", "_sha256"}
    assert found - sys.stdlib_module_names - of_some_versions == {"harness"}
