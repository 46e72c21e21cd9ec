"""What the package says of itself is so of the wheel that is built of it."""

import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.guides import GUIDES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a wheel that was built just now."""
    out = str(tmp_path_factory.mktemp("wheel"))
    (built,) = WheelBuilder(str(ROOT)).build(directory=out, versions=["standard"])
    with zipfile.ZipFile(built) as file:
        return {*file.namelist()}


def test_a_package_that_says_it_is_typed_says_so_to_type_checkers(
    wheel: set[str],
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert "Typing :: Typed" in project["classifiers"]
    assert "harness/py.typed" in wheel


def test_a_wheel_has_every_file_that_we_read(wheel: set[str]) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "harness").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    kernels = {
        f"harness/{path.relative_to(ROOT)}"
        for path in (ROOT / "kernels").rglob("*")
        if path.is_file()
    }

    assert {path for path in wheel if ".dist-info/" not in path} == ours | kernels


def test_a_wheel_has_the_guides(wheel: set[str]) -> None:
    guides = {f"harness/guides/{path.name}" for path in GUIDES.glob("*.md")}

    assert "harness/guides/measuring.md" in guides
    assert guides <= wheel
