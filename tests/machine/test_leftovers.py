"""What a killed harness leaves on a machine that is a folder, mended and told."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.cli import main
from harness.host import clock_lock
from harness.host.locks import exclusive
from harness.host.scratch import scratch_folder
from harness.linux import sysctls
from harness.machine import leftovers, tune
from harness.machine.leftovers import find_leftovers
from tests.host.test_scratch import killed_owner_s
from tests.machine.test_tune import root

__all__ = ["root"]

ASLR = "proc/sys/kernel/randomize_va_space"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's folders, all of them empty."""
    for name in ("temp", "run", "work", "cache/anon-vma-harness"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    monkeypatch.setattr(sysctls, "KEPT", tmp_path / "run")
    lock = tmp_path / "run/silicon.lock"
    for module in (clock_lock, leftovers):
        monkeypatch.setattr(module, "lock_file", lambda: lock)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def everything(machine: Path) -> list[Path]:
    return sorted(machine.rglob("*"))


def make(path: Path) -> Path:
    """A folder that is half made, with something in it."""
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").touch()
    return path


def left_by_kills(machine: Path) -> list[Path]:
    """One of each thing that a killed harness leaves."""
    cache = machine / "cache/anon-vma-harness"
    tree = cache / "build/linux-6.12-um/6.12.1-1"
    settings = machine / "run/anonvma-settings-1-00"
    settings.write_text('[{"vm.max_map_count": "1"}, {"vm.max_map_count": "0"}]')
    (machine / "run/silicon.lock").touch()
    made = [
        make(cache / "rootfs/making-abc"),
        make(cache / "kselftest/making-abc"),
        make(cache / "sources/making-abc"),
        make(tree / "making-abc"),
        settings,
        machine / "run/silicon.lock",
        *(killed_owner_s(place) for place in
          (machine / "temp", cache, machine / "work")),
        make_file(tree / "pristine.new"),
        make_file(cache / "kvm-aarch64-another-start"),
    ]  # fmt: skip
    for room in ("rootfs", "kselftest", "sources", "build/linux-6.12-um"):
        (cache / room / "lock").touch()
    for kept in ("source/file", "output/file", "pristine/file"):
        make_file(tree / kept)
    make_file(cache / "rootfs/bookworm.cpio")
    make_file(cache / "sources/linux-source-6.12_6.12.1-1/Makefile")
    make_file(cache / "kernels/switch-6.12-um-00/image")
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    make_file(cache / f"kvm-x86_64-{boot_id}")
    return made


def make_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_where_nothing_was_left_nothing_is_done(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(machine)

    assert main(["doctor", "--mend"]) == 0
    assert capsys.readouterr() == ("nothing was left behind\n", "")
    assert everything(machine) == before


def test_all_that_kills_left_is_removed_and_nothing_else(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = left_by_kills(machine)
    kept = [p for p in everything(machine)
            if not any(p.is_relative_to(path) for path in left)]  # fmt: skip

    status = main(["doctor", "--mend"])
    out, err = capsys.readouterr()
    again = main(["doctor", "--mend"])

    assert (status, err, again) == (0, "", 0)
    assert sorted(out.splitlines()) == sorted(f"removed {path}" for path in left)
    assert everything(machine) == kept
    assert capsys.readouterr().out == "nothing was left behind\n"


def test_doctor_tells_what_would_be_mended_and_does_not(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = left_by_kills(machine)
    before = everything(machine)

    main(["doctor"])

    told = [x for x in capsys.readouterr().out.splitlines() if x.startswith("left b")]
    assert len(told) == len(left)
    assert all(x.endswith(" (anonvma doctor --mend)") for x in told)
    assert all(any(f" {path}: " in x for x in told) for path in left)
    assert everything(machine) == before


@pytest.fixture
def busy(machine: Path) -> Iterator[Path]:
    """The machine with one of each thing that is in use."""
    cache = machine / "cache/anon-vma-harness"
    with ExitStack() as stack:
        for room in ("rootfs", "kselftest", "sources", "build/linux-6.12-um"):
            make(cache / room / "making-abc")
            stack.enter_context(exclusive(cache / room / "lock"))
        for place in (None, cache, machine / "work"):
            stack.enter_context(scratch_folder(place))
        stack.enter_context(exclusive(cache / "tune.lock"))
        (cache / "tune.json").write_text('{"boot_id": "another", "before": {}}')
        stack.enter_context(clock_lock.silicon_clock_held("here"))
        stack.enter_context(sysctls.settings_put_back({}, {}))
        yield machine


def test_what_is_in_use_is_not_touched(
    busy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(busy)

    assert main(["doctor", "--mend"]) == 0
    assert capsys.readouterr() == ("nothing was left behind\n", "")
    assert everything(busy) == before


def test_what_came_into_use_after_it_was_found_is_not_touched(machine: Path) -> None:
    room = machine / "cache/anon-vma-harness/rootfs"
    make(room / "making-abc")
    (leftover,) = find_leftovers()
    assert leftover.mend is not None

    with exclusive(room / "lock"):
        assert list(leftover.mend()) == []
        assert (room / "making-abc").exists()
    assert list(leftover.mend()) == [f"removed {room / 'making-abc'}"]


def tuned(root: Path, *, killed_at: int | None) -> None:
    """What ``apply`` leaves: done, or killed at its nth change."""
    pid = os.fork()
    if pid == 0:
        for number, _ in enumerate(tune.apply(root)):
            if number == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    os.waitpid(pid, 0)


@pytest.fixture
def tunable(machine: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine with settings that disturb."""
    for name in ("left_changed", "undo_locked"):
        real = getattr(tune, name)
        monkeypatch.setattr(tune, name, lambda real=real: real(root))
    return root


def test_a_tuning_that_was_killed_is_put_back(
    tunable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned(tunable, killed_at=3)
    assert (tunable / ASLR).read_text() == "0"

    assert main(["doctor", "--mend"]) == 0

    assert (tunable / ASLR).read_text() == "2"
    assert f"{tunable / ASLR}: restored to 2\n" in capsys.readouterr().out
    assert not tune.state_file().exists()
    assert list(find_leftovers()) == []


def test_a_tuning_that_is_done_is_the_user_s_wish(
    tunable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned(tunable, killed_at=None)

    assert main(["doctor", "--mend"]) == 0

    assert (tunable / ASLR).read_text() == "0"
    assert capsys.readouterr().out == (
        "this machine is tuned; to undo it: anonvma tune --undo\n"
    )
    assert tune.state_file().exists()


def test_what_was_kept_of_another_start_is_removed(
    tunable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned(tunable, killed_at=None)
    (tunable / "proc/sys/kernel/random/boot_id").write_text("the next start\n")

    assert main(["doctor", "--mend"]) == 0

    assert not tune.state_file().exists()
    assert capsys.readouterr().out == f"removed {tune.state_file()}\n"


def test_a_damaged_tuning_is_told_and_left(
    tunable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune.state_file().write_text("{")

    assert main(["doctor", "--mend"]) == 0

    assert "tune.json is damaged" in capsys.readouterr().out
    assert tune.state_file().exists()


def test_what_may_not_be_mended_is_told_and_the_rest_is_done(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left_by_kills(machine)

    def refuse(name: str) -> str:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(sysctls, "read_sysctl", refuse)

    status = main(["doctor", "--mend"])
    out, err = capsys.readouterr()

    assert status == 3
    assert len(err.splitlines()) == 1
    assert err.endswith("cannot clean up (Operation not permitted)\n")
    assert len(out.splitlines()) == 10
