"""What agree keeps of a divergence, whatever ends its shrinking."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import conformance as command
from harness.cli.main import main
from harness.conformance.replaying import check_recording, read_recordings
from harness.errors import GuestHung, RecordError
from tests.traces import ForgetfulModel, ModelTarget

LINE = ["agree", "--ops", "400", "--length", "100", "--theme", "family", "--jobs", "1"]


@pytest.fixture
def agree_until(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[int, BaseException | None], tuple[int, int]]:
    """Agree on a kernel whose guests fail after some boots: status, steps kept."""

    def run(boots: int, error: BaseException | None) -> tuple[int, int]:
        kernel = ModelTarget(model=ForgetfulModel)

        def fail(index: int) -> None:
            if error is not None and len(kernel.jobs) > boots:
                raise error

        kernel.before = fail
        monkeypatch.setattr(command, "targets_of", lambda *a, **k: lambda stop: kernel)
        status = main([*LINE, "--results", str(tmp_path)])
        (folder,) = tmp_path.iterdir()
        assert {path.name for path in folder.iterdir()} == {
            "trace.jsonl", "reproduce.py",
        }  # fmt: skip
        assert os.access(folder / "reproduce.py", os.X_OK)
        (recording,) = read_recordings(folder / "trace.jsonl")
        assert check_recording(recording) is not None
        return status, len(recording.steps)

    return run


Until = Callable[[int, BaseException | None], tuple[int, int]]


def test_a_divergence_is_shrunk_shown_and_kept(
    agree_until: Until, capsys: pytest.CaptureFixture[str]
) -> None:
    status, steps = agree_until(1, None)

    assert (status, steps) == (1, 5)
    said = capsys.readouterr()
    assert "diverged on 6.12.0-test, step 4, fork" in said.out
    assert "kept in " in said.out


@pytest.mark.parametrize("boots", [1, 2, 4])
@pytest.mark.parametrize(
    "error",
    [GuestHung("silent for 60 s", "words"), RecordError("x", "odd"), OSError(28, "no")],
    ids=lambda error: type(error).__name__,
)
def test_what_ends_the_shrinking_leaves_the_shortest_so_far(
    agree_until: Until,
    capsys: pytest.CaptureFixture[str],
    boots: int,
    error: Exception,
) -> None:
    status, steps = agree_until(boots, error)

    assert status == 1
    assert 5 <= steps <= 17
    said = capsys.readouterr()
    assert "diverged on 6.12.0-test" in said.out
    assert "kept in " in said.out
    assert f"shrinking stopped: {str(error).splitlines()[0]}" in said.err


@pytest.mark.parametrize("boots", [1, 2])
def test_ctrl_c_while_shrinking_leaves_and_names_what_is_kept(
    agree_until: Until,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    boots: int,
) -> None:
    status, _ = agree_until(boots, KeyboardInterrupt())

    assert status == 130
    (folder,) = tmp_path.iterdir()
    said = capsys.readouterr().err
    assert f"kept in {folder}\n" in said
    assert said.endswith("anonvma: stopped\n")
