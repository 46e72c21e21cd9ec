import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.host.scratch import abandoned_folders, remove_abandoned, scratch_folder

OWNER = """
import sys, time
from pathlib import Path
from harness.host.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "deep").mkdir()
    (folder / "deep/file").write_text("x")
    print(folder, flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def killed_owner_s(place: Path) -> Path:
    """What an owner that was killed leaves."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(place)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert abandoned_folders(place) == []
        owner.kill()
    return folder


def test_a_folder_is_there_for_the_block_and_gone_after(temp: Path) -> None:
    with scratch_folder() as folder:
        (folder / "made").mkdir()
        (folder / "made" / "file").write_text("x")
        (folder / "link").symlink_to(temp)
        assert folder.parent == temp

    assert list(temp.iterdir()) == []


def test_a_folder_is_gone_after_an_error_and_when_it_was_removed(temp: Path) -> None:
    with pytest.raises(RuntimeError), scratch_folder():
        raise RuntimeError
    with scratch_folder() as folder:
        subprocess.run(["rm", "-r", folder], check=True)

    assert list(temp.iterdir()) == []


def test_a_folder_in_use_is_not_cleared_away(temp: Path) -> None:
    with scratch_folder() as folder:
        assert abandoned_folders(temp) == []
        assert not remove_abandoned(folder)
        assert folder.exists()


def test_what_a_killed_owner_left_is_found_and_removed(temp: Path) -> None:
    folder = killed_owner_s(temp)

    assert abandoned_folders(temp) == [folder]
    assert remove_abandoned(folder)
    assert list(temp.iterdir()) == []


def test_beside_what_is_made_it_goes_with_the_next_folder(temp: Path) -> None:
    killed_owner_s(temp)

    with scratch_folder(temp) as folder:
        assert list(temp.iterdir()) == [folder]


@pytest.mark.parametrize("left", ["nothing", "owner"])
def test_what_was_killed_before_it_was_whole_or_just_before_it_was_gone(
    temp: Path, left: str
) -> None:
    folder = temp / "anonvma-0123456789abcdef"
    folder.mkdir()
    if left == "owner":
        (folder / ".anonvma-owner").touch()

    assert abandoned_folders(temp) == [folder]
    assert remove_abandoned(folder)
    assert list(temp.iterdir()) == []


def test_what_is_not_surely_ours_is_nobody_s_to_remove(temp: Path) -> None:
    """Folders of the user's, and links that others may have laid."""
    victim = temp / "victim"
    for name in ("victim", "anonvma-results", "anonvma-0123456789abcde0"):
        (temp / name).mkdir()
        (temp / name / "file").touch()
    (victim / ".anonvma-owner").touch()
    (temp / "anonvma-0123456789abcde1").symlink_to(victim)
    (temp / "anonvma-0123456789abcde2").touch()
    (temp / "anonvma-0123456789abcde3").mkdir()
    (temp / "anonvma-0123456789abcde3" / ".anonvma-owner").symlink_to(victim / "file")
    before = sorted(temp.rglob("*"))

    assert abandoned_folders(temp) == []
    assert [p for p in temp.iterdir() if remove_abandoned(p)] == []
    assert sorted(temp.rglob("*")) == before


def test_one_that_is_cleared_away_while_it_is_made_is_made_again(
    temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the folder and its lock, it looks like one that was left."""
    real = os.open
    cleared: list[Path] = []

    def clear_first(path: Path, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT and not cleared:
            assert remove_abandoned(path.parent)
            cleared.append(path)
        fd = real(path, flags, *mode)
        if flags & os.O_CREAT and len(cleared) == 1:
            assert remove_abandoned(path.parent)
            cleared.append(path)
        return fd

    monkeypatch.setattr(os, "open", clear_first)
    with scratch_folder() as folder:
        assert len({path.parent for path in cleared}) == 2
        assert folder not in [path.parent for path in cleared]
        assert abandoned_folders(temp) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(temp: Path, number: signal.Signals) -> None:
    # Also where Ctrl-C is ignored, as in the background of a shell.
    program = f"import signal\nsignal.signal({number}, signal.default_int_handler)\n"
    program += OWNER
    with subprocess.Popen(
        [sys.executable, "-c", program, str(temp)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as owner:  # fmt: skip
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.send_signal(number)

    assert list(temp.iterdir()) == []
