import os
import signal
from pathlib import Path

import psutil
import pytest

from harness.errors import EnvironmentFault
from harness.linux import sysctls as sysctls_module
from harness.machine.abandoned_settings import left_settings, put_back_left
from harness.worker.measure import settings
from harness.worker.measure.settings import map_count_up_to, settings_of
from tests.host.test_programs import ends


@pytest.fixture
def sysctls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of /proc/sys: guests' tests use the real one."""
    folder = tmp_path / "sysctls"
    for place in (folder, tmp_path / "run"):
        place.mkdir()
    (folder / "vm.max_map_count").write_text("65530")
    (folder / "vm.other").write_text("0")

    def write(name: str, value: str) -> None:
        (folder / name).write_text(value)

    for module in (settings, sysctls_module):
        monkeypatch.setattr(module, "read_sysctl", lambda n: (folder / n).read_text())
        monkeypatch.setattr(module, "write_sysctl", write)
    monkeypatch.setattr(sysctls_module, "KEPT", tmp_path / "run")
    return folder


def values(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_settings_are_in_force_inside_and_put_back_after(sysctls: Path) -> None:
    before = values(sysctls)

    with map_count_up_to(70_000) as limit, settings_of({"vm.other": "5"}):
        inside = values(sysctls)

    assert limit == 70_000
    assert inside == {"vm.max_map_count": "70000", "vm.other": "5"}
    assert values(sysctls) == before


def test_a_limit_that_is_high_enough_is_left_alone(sysctls: Path) -> None:
    with map_count_up_to(65_530) as limit:
        assert limit == 65_530
        assert values(sysctls)["vm.max_map_count"] == "65530"


def test_what_somebody_else_has_changed_meanwhile_is_theirs(sysctls: Path) -> None:
    with settings_of({"vm.other": "5"}):
        (sysctls / "vm.other").write_text("7")

    assert values(sysctls)["vm.other"] == "7"


def test_settings_are_put_back_after_an_error(sysctls: Path) -> None:
    with pytest.raises(RuntimeError), settings_of({"vm.other": "5"}):
        raise RuntimeError

    assert values(sysctls)["vm.other"] == "0"


def test_settings_are_put_back_after_kill_9(sysctls: Path) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with settings_of({"vm.other": "5"}):
            os.write(writing, values(sysctls)["vm.other"].encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(writing)

    assert os.read(reading, 9) == b"5"
    # The guardian has the pipe's other end until it has put things back.
    assert os.read(reading, 9) == b""
    os.close(reading)
    assert values(sysctls)["vm.other"] == "0"


def test_what_its_owner_forked_and_left_keeps_nothing_from_being_put_back(
    sysctls: Path,
) -> None:
    reading, writing = os.pipe()
    orphan = os.fork()
    if orphan == 0:
        with settings_of({"vm.other": "5"}):
            guardian = psutil.Process().children()[0].pid
            pid = os.fork()
            if pid == 0:
                os.close(writing)
                signal.pause()
            os.write(writing, f"{guardian} {pid}".encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(orphan, 0)
    guardian, left = (int(word) for word in os.read(reading, 99).split())
    os.close(writing)
    try:
        # Where another would be there for ever.
        assert ends(guardian)
        assert values(sysctls)["vm.other"] == "0"
        assert left_settings() == []
    finally:
        os.kill(left, signal.SIGKILL)
        os.close(reading)


def test_a_setting_that_may_not_be_changed_is_named_with_its_command(
    sysctls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, value: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(settings, "write_sysctl", refuse)

    with (
        pytest.raises(EnvironmentFault, match=r"as root: sysctl vm\.other=5"),
        settings_of({"vm.other": "5"}),
    ):
        pass
    with map_count_up_to(70_000) as limit:
        assert limit == 65_530


def test_a_setting_that_the_kernel_lacks_is_named(sysctls: Path) -> None:
    with (
        pytest.raises(EnvironmentFault, match=r"no sysctl vm\.lacking"),
        settings_of({"vm.lacking": "1"}),
    ):
        pass


def killed_with_its_guardian(sysctls: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with settings_of({"vm.other": "5"}):
            guardian = psutil.Process().children()[0]
            guardian.kill()
            while guardian.status() != psutil.STATUS_ZOMBIE:
                pass
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert values(sysctls)["vm.other"] == "5"


def test_what_nobody_is_left_to_put_back_is_put_back_from_disk(sysctls: Path) -> None:
    killed_with_its_guardian(sysctls)

    (left,) = left_settings()
    done = put_back_left(left)

    assert done == {"vm.other": "0"}
    assert values(sysctls)["vm.other"] == "0"
    assert left_settings() == list((sysctls.parent / "run").iterdir()) == []


def test_what_is_in_force_is_not_put_back_from_disk(sysctls: Path) -> None:
    with settings_of({"vm.other": "5"}):
        (kept,) = (sysctls.parent / "run").iterdir()
        assert left_settings() == []
        assert put_back_left(kept) == {}
        assert values(sysctls)["vm.other"] == "5"

    assert list((sysctls.parent / "run").iterdir()) == []


def test_what_is_on_disk_is_not_put_back_over_what_others_changed(
    sysctls: Path,
) -> None:
    killed_with_its_guardian(sysctls)
    (sysctls / "vm.other").write_text("7")

    (left,) = left_settings()

    assert put_back_left(left) == {}
    assert values(sysctls)["vm.other"] == "7"


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "[1, 2]", '[{"a": 1}]', "\0" * 99, '[{}, {"a": "1"}]',
        '[{"a": "1"}, 5]', '[{"\\u0000": "1"}, null]', '[{"/tmp/x": "1"}, null]',
        "[" * 9999,
    ],
)  # fmt: skip
def test_what_was_killed_before_it_was_on_disk_is_only_removed(
    sysctls: Path, text: str
) -> None:
    before = values(sysctls)
    path = sysctls.parent / "run" / "anonvma-settings-1-0"
    path.write_text(text)

    assert left_settings() == [path]
    assert put_back_left(path) == {}
    assert not path.exists()
    assert values(sysctls) == before


def test_settings_are_put_back_where_only_their_guardian_was_killed(
    sysctls: Path,
) -> None:
    with settings_of({"vm.other": "5"}):
        psutil.Process().children()[0].kill()

    assert values(sysctls)["vm.other"] == "0"
    assert list((sysctls.parent / "run").iterdir()) == []


def test_settings_are_kept_nowhere_where_nothing_can_be_written(
    sysctls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysctls_module, "KEPT", Path("/proc/nowhere"))

    with settings_of({"vm.other": "5"}):
        assert values(sysctls)["vm.other"] == "5"

    assert values(sysctls)["vm.other"] == "0"
    assert left_settings() == []
