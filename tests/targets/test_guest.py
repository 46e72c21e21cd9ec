from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import JobFailed
from harness.targets import UmlTarget


def test_a_guest_that_never_stops_telling_its_facts_is_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def tell(
        self: UmlTarget, argv: list[str], on_output: Callable[[bytes], None], _: Path
    ) -> int:
        while True:
            on_output(b"x" * 65_536)

    monkeypatch.setattr(UmlTarget, "run_command", tell)

    with pytest.raises(JobFailed, match="facts have at most"):
        UmlTarget(kernel=tmp_path / "linux").ask_facts(tmp_path / "console.txt")


def test_what_a_guest_says_instead_of_its_facts_is_shown_as_far_as_it_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def tell(
        self: UmlTarget, argv: list[str], on_output: Callable[[bytes], None], _: Path
    ) -> int:
        on_output(b"\x1b\r\n" * 200_000)
        return 1

    monkeypatch.setattr(UmlTarget, "run_command", tell)

    with pytest.raises(JobFailed, match="did not report its facts") as raised:
        UmlTarget(kernel=tmp_path / "linux").ask_facts(tmp_path / "console.txt")

    assert len(str(raised.value)) < 32_000
