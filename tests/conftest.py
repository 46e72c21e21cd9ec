"""What tests share: the guests, booted from kernels built here."""

import gc
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from harness.arch import UM, Arch, arch_named
from harness.errors import EnvironmentFault, NoSuchSource
from harness.host.paths import package_dir
from harness.kbuild import BuiltKernel, base_names, build_kernel, variant_named
from harness.targets import Deadlines, QemuTarget, UmlTarget

# A kernel from nothing takes five minutes, on a machine with nothing else to do.
_GUEST_TIMEOUT_S = 2400

# How long an example takes is the machine's, and machines are shared.
settings.register_profile("no wall time", deadline=None)
settings.load_profile("no wall time")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-guest",
        action="store_true",
        help="fail, where guest tests would be skipped for something missing",
    )
    parser.addoption(
        "--require-names",
        action="store_true",
        help="fail, where kernel tests would be skipped for a kernel without names",
    )
    parser.addoption(
        "--require-chromium",
        action="store_true",
        help="fail, where page tests would be skipped for want of Chromium",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that boot guests the time to build what they boot, too."""
    for item in items:
        if item.get_closest_marker("guest") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_GUEST_TIMEOUT_S))


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what lives as long as the tests do.

    A library that collects at each call would look through thousands of tests.
    """
    gc.collect()
    gc.freeze()


def guest_kernel(
    config: pytest.Config, variant: str, base: str, arch: Arch
) -> BuiltKernel:
    """A kernel for a guest; where it cannot be had, the test is skipped, or fails."""
    try:
        return build_kernel(
            variant_named(variant), base, arch, on_step=lambda step: None
        )
    except EnvironmentFault as fault:
        # A Debian may lack an older base, and there is nothing to be done about it.
        lacking = isinstance(fault, NoSuchSource) and base != base_names()[-1]
        if config.getoption("--require-guest") and not lacking:
            raise
        pytest.skip(f"no guest: {fault}")


@pytest.fixture(scope="session")
def boot_target(request: pytest.FixtureRequest) -> Callable[..., QemuTarget]:
    """A function from variant, base and machine to a target of QEMU."""

    def make(
        variant: str = "switch",
        base: str = "6.12",
        deadlines: Deadlines | None = None,
        arch: str = "aarch64",
    ) -> QemuTarget:
        kernel = guest_kernel(request.config, variant, base, arch_named(arch))
        return QemuTarget(
            arch=kernel.arch, kernel=kernel.image, deadlines=deadlines or Deadlines()
        )

    return make


@pytest.fixture(scope="session")
def uml_target(request: pytest.FixtureRequest) -> Callable[..., UmlTarget]:
    """A function from variant and base to a target of User-Mode Linux."""

    def make(
        variant: str = "switch",
        base: str = "6.12",
        deadlines: Deadlines | None = None,
    ) -> UmlTarget:
        kernel = guest_kernel(request.config, variant, base, UM)
        return UmlTarget(kernel=kernel.image, deadlines=deadlines or Deadlines())

    return make


@pytest.fixture(scope="session")
def package_for_all() -> Iterator[Path]:
    """The folder of a copy of the package that other users may read, too.

    A checkout may be where only its user may enter, as root's home is.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        leave_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package_dir(), folder / "harness", ignore=leave_out)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder


@pytest.fixture
def console(tmp_path: Path) -> Path:
    """Where a guest's console is kept."""
    return tmp_path / "console.txt"
