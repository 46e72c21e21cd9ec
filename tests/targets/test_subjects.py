"""Which target a choice comes to; none is started."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.targets.subjects import TargetChoice, chosen_target


@pytest.mark.parametrize("kind", ["uml", "host"])
def test_a_kernel_of_one_s_own_must_fit_its_target(kind: str, tmp_path: Path) -> None:
    kernel = tmp_path / "Image"
    kernel.write_bytes(bytes(0x38) + b"ARM\x64")
    choice = TargetChoice(kind=kind, kernel=kernel)

    with pytest.raises(UsageError, match=f"a kernel for --target qemu, not {kind}"):
        chosen_target(choice, "switch", "6.12", on_step=lambda _: None)
