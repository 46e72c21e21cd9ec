import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from harness.errors import EnvironmentFault
from harness.host import clock_lock
from harness.host.clock_lock import (
    lock_file,
    lock_is_left,
    remove_free_lock,
    silicon_clock_held,
)
from harness.host.paths import package_dir

HOLDER = """
import sys, time
from pathlib import Path
from harness.host import clock_lock
lock = Path(sys.argv[1])
clock_lock.lock_file = lambda: lock
with clock_lock.silicon_clock_held("campaign \\x1b[31mred"):
    print("held", flush=True)
    time.sleep(1000)
"""
OTHER = ["setpriv", "--reuid=61235", "--regid=61235", "--clear-groups", "--"]


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock's file, in a folder as /tmp is."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(clock_lock, "lock_file", lambda: folder / "lock")
    return folder / "lock"


@contextmanager
def held_elsewhere(
    lock: Path, *become: str, package: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds it, of another user's where that can be."""
    python = "/usr/bin/python3" if become else sys.executable
    with subprocess.Popen(
        [*become, python, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True,
        env={"PYTHONPATH": str(package or package_dir().parent), "PATH": os.defpath},
    ) as holder:  # fmt: skip
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


def test_the_lock_is_had_again_and_again_and_leaves_no_file(lock: Path) -> None:
    for _ in range(2):
        with silicon_clock_held("here"):
            assert lock.exists()
            assert not lock_is_left()
            assert not remove_free_lock()

    assert not lock.exists()


def test_a_second_one_is_refused_and_told_who_holds_it(lock: Path) -> None:
    with (
        held_elsewhere(lock) as holder,
        pytest.raises(EnvironmentFault) as refused,
        silicon_clock_held("here"),
    ):
        pass

    said = str(refused.value)
    assert f"process {holder.pid} (anonvma " in said
    assert "for campaign \\x1b[31mred, since 20" in said
    assert said.isprintable()


def test_two_of_one_process_are_two(lock: Path) -> None:
    with (
        silicon_clock_held("first"),
        pytest.raises(EnvironmentFault, match=f"process {os.getpid()} .* for first"),
        silicon_clock_held("second"),
    ):
        pass


def test_it_is_free_when_its_holder_was_killed(lock: Path) -> None:
    with held_elsewhere(lock) as holder:
        holder.kill()
        holder.wait()
        assert lock_is_left()

        with silicon_clock_held("here"):
            pass

    assert not lock.exists()


def test_what_a_killed_holder_left_is_removed(lock: Path) -> None:
    with held_elsewhere(lock) as holder:
        assert not remove_free_lock()
        holder.kill()
        holder.wait()

    assert remove_free_lock()
    assert not lock.exists()
    assert not lock_is_left()


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, as root may")
def test_it_is_one_for_all_users(lock: Path, package_for_all: Path) -> None:
    other = partial(held_elsewhere, lock, *OTHER, package=package_for_all)
    for folder in lock.parents:
        if not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o711)
    with (
        other() as holder,
        pytest.raises(EnvironmentFault, match=f"process {holder.pid} "),
        silicon_clock_held("here"),
    ):
        pass
    with silicon_clock_held("here"):
        assert lock.stat().st_uid == 61_235
        with pytest.raises(AssertionError), other():
            pass
    # Root may, and does, remove what the other could not keep.
    assert not lock.exists()


def test_a_new_one_that_was_removed_meanwhile_is_not_the_lock(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder's last act, between our open and our lock."""
    real = clock_lock._opened
    opened: list[int] = []

    def remove_first(path: Path) -> int:
        fd = real(path)
        if not opened:
            path.unlink()
        opened.append(fd)
        return fd

    monkeypatch.setattr(clock_lock, "_opened", remove_first)
    with silicon_clock_held("here"):
        assert len(opened) == 2
        assert os.path.samestat(os.fstat(opened[1]), lock.stat())


def test_one_that_is_held_is_not_removed_for_one_that_was_left(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others take the one that was left, and make another, between open and lock."""
    real = clock_lock._opened_there
    with ExitStack() as stack:

        def take_first(path: Path) -> int:
            monkeypatch.undo()
            monkeypatch.setattr(clock_lock, "lock_file", lambda: lock)
            fd = real(path)
            with silicon_clock_held("before"):
                pass
            stack.enter_context(silicon_clock_held("now"))
            return fd

        lock.touch()
        monkeypatch.setattr(clock_lock, "_opened_there", take_first)

        assert not remove_free_lock()
        assert lock.exists()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_not_opened(lock: Path, kind: str) -> None:
    victim = lock.parent / "victim"
    if kind == "link":
        lock.symlink_to(victim)
    elif kind == "folder":
        lock.mkdir()
    else:
        os.mkfifo(lock)

    with (
        pytest.raises(EnvironmentFault, match="cannot be used"),
        silicon_clock_held(""),
    ):
        pass
    assert not victim.exists()
    assert not remove_free_lock()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pid": 1}', b"\xff" * 9999])
def test_a_holder_that_says_nothing_sensible_is_one_too(
    lock: Path, text: bytes
) -> None:
    with silicon_clock_held("first"):
        lock.write_bytes(text)
        with (
            pytest.raises(EnvironmentFault, match="whose name is not in the lock"),
            silicon_clock_held("second"),
        ):
            pass


def test_the_place_does_not_hang_on_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    before = lock_file()
    for name in ("TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "HOME"):
        monkeypatch.setenv(name, "/elsewhere")

    assert lock_file() == before
    assert before.parent in (Path("/run/lock"), Path("/tmp"))
