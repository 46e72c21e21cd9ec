"""compare as a gate: a kernel that was made slower on purpose, and one that was not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.arch import arch_named
from harness.cli import main
from harness.kbuild import build_kernel, variant_named
from harness.targets import QemuTarget

pytestmark = pytest.mark.guest

PATCH = Path(__file__).parent.parent / "data/patches/slower-fork.patch"
PLAN = ["--vmas", "16000", "--naming", "none", "--boots", "2", "--repetitions", "3"]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def test_a_slower_kernel_is_stopped_and_an_unchanged_one_passes(
    boot_target: Callable[..., QemuTarget],
    results: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stock = boot_target("refcount").kernel
    slower = replace(variant_named("refcount"), name="slower", more_patches=(PATCH,))
    built = build_kernel(
        slower, "6.12", arch_named("aarch64"), on_step=lambda step: None
    )
    for name, kernel in (
        ("baseline", stock), ("unchanged", stock), ("slower", built.image),
    ):  # fmt: skip
        assert main(["run", "--kernel", str(kernel), "--name", name, *PLAN]) == 0
    capsys.readouterr()

    passed = main(["compare", "baseline", "unchanged", "--margin", "2%"])
    assert passed == 0, capsys.readouterr().out
    stopped = main(["compare", "baseline", "slower", "--margin", "2%"])

    out = capsys.readouterr().out
    assert stopped == 1, out
    assert "all alike" in out
    assert "regressed" in out
