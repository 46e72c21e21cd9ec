"""What tests share: the guests, booted from kernels built here."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.arch import arch_named
from harness.errors import EnvironmentFault
from harness.kbuild import build_kernel, variant_named
from harness.target import Deadlines, QemuTarget


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-guest",
        action="store_true",
        help="fail, where guest tests would be skipped for something missing",
    )


@pytest.fixture(scope="session")
def boot_target(request: pytest.FixtureRequest) -> Callable[..., QemuTarget]:
    """A function from variant and base to a target; kernels are built on demand."""
    require = request.config.getoption("--require-guest")

    def make(
        variant: str = "switch",
        base: str = "6.12",
        deadlines: Deadlines | None = None,
    ) -> QemuTarget:
        try:
            kernel = build_kernel(
                variant_named(variant),
                base,
                arch_named("aarch64"),
                on_step=lambda step: None,
            )
        except EnvironmentFault as fault:
            if require:
                raise
            pytest.skip(f"no guest: {fault}")
        return QemuTarget(
            arch=kernel.arch,
            kernel=kernel.image,
            deadlines=deadlines or Deadlines(),
        )

    return make


@pytest.fixture
def console(tmp_path: Path) -> Path:
    """Where a guest's console is kept."""
    return tmp_path / "console.txt"
