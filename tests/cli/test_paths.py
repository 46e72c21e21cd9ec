"""Asking whether a place can be written to changes nothing."""

from pathlib import Path

from harness.cli.paths import check_file, check_folder


def test_a_file_that_could_be_written_is_not_left_behind(tmp_path: Path) -> None:
    check_file(tmp_path / "new")

    assert not list(tmp_path.iterdir())


def test_a_link_to_nothing_is_not_deleted(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")

    check_file(link)

    assert link.is_symlink()


def test_folders_that_could_be_made_are_not_left_behind(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")

    assert not list(tmp_path.iterdir())
