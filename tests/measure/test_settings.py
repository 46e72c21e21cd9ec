import os
import signal
from pathlib import Path

import pytest

from harness.errors import EnvironmentFault
from harness.measure import settings
from harness.measure.settings import map_count_up_to, settings_of


@pytest.fixture
def sysctls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of /proc/sys: guests' tests use the real one."""
    (tmp_path / "vm.max_map_count").write_text("65530")
    (tmp_path / "vm.other").write_text("0")

    def write(name: str, value: str) -> None:
        (tmp_path / name).write_text(value)

    monkeypatch.setattr(settings, "read_sysctl", lambda n: (tmp_path / n).read_text())
    monkeypatch.setattr(settings, "write_sysctl", write)
    return tmp_path


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
        pytest.raises(EnvironmentFault, match=r"no setting vm\.lacking"),
        settings_of({"vm.lacking": "1"}),
    ):
        pass
