"""What disturbs a machine that is a folder: found, changed, put back."""

import os
import signal
from pathlib import Path

import pytest

from harness.errors import EnvironmentFault
from harness.machine import tune

FILES = {
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance\n",
    "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
    "sys/devices/system/cpu/smt/control": "notsupported\n",
    "sys/devices/system/cpu/isolated": "\n",
    "sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0,2\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "proc/sys/kernel/randomize_va_space": "2\n",
    "proc/sys/vm/max_map_count": "2000000\n",
    "proc/sys/kernel/random/boot_id": "this-start\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a machine on which four settings disturb."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, text in FILES.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "root"


def values(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text().strip() for name in FILES}


def is_tuned(root: Path) -> bool:
    return not any(setting.disturbs for setting in tune.settings_here(root))


def test_what_disturbs_is_told_from_what_does_not(root: Path) -> None:
    disturbing = [s for s in tune.settings_here(root) if s.disturbs]

    assert [(s.knob.subject, s.value) for s in disturbing] == [
        ("governor", "powersave"),
        ("turbo (Intel)", "0"),
        ("ASLR", "2"),
        ("THP", "madvise"),
    ]
    found = dict(tune.remarks(root))
    assert found["cores shared by"] == "0,2"
    assert found["isolated CPUs"].startswith("none")
    assert "CPUs" in found["load"]


def test_what_is_applied_is_undone(root: Path) -> None:
    before = values(root)

    changed = [s.knob.subject for s in tune.apply(root)]
    after = values(root)
    undone = [path for path, _ in tune.undo(root)]

    assert changed == ["governor", "turbo (Intel)", "ASLR", "THP"]
    assert after["proc/sys/kernel/randomize_va_space"] == "0"
    assert after["proc/sys/vm/max_map_count"] == "2000000"
    assert len(undone) == 4
    assert values(root) == {
        **before,
        # The kernel shows all choices; a file holds what was written.
        "sys/kernel/mm/transparent_hugepage/enabled": "madvise",
    }
    assert list(tune.undo(root)) == []


def test_applied_twice_is_undone_to_what_was_first(root: Path) -> None:
    list(tune.apply(root))
    (root / "proc/sys/kernel/randomize_va_space").write_text("1")
    list(tune.apply(root))

    list(tune.undo(root))

    assert values(root)["proc/sys/kernel/randomize_va_space"] == "2"


@pytest.mark.parametrize("done", range(5))
def test_what_was_changed_before_kill_9_is_undone(root: Path, done: int) -> None:
    before = values(root)
    pid = os.fork()
    if pid == 0:
        for number, _ in enumerate(tune.apply(root)):
            if number == done:
                os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    os.waitpid(pid, 0)

    list(tune.undo(root))

    thp = "sys/kernel/mm/transparent_hugepage/enabled"
    after = values(root)
    assert after[thp] in ("madvise", before[thp])
    assert {**after, thp: ""} == {**before, thp: ""}


def test_a_start_of_the_machine_later_there_is_nothing_to_undo(root: Path) -> None:
    list(tune.apply(root))
    (root / "proc/sys/kernel/random/boot_id").write_text("the next start\n")

    assert list(tune.undo(root)) == []
    assert is_tuned(root)


def test_what_may_not_be_changed_is_told_with_its_command(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = values(root)
    write = Path.write_text

    def refuse(path: Path, text: str) -> int:
        if path.name == "randomize_va_space":
            raise PermissionError(13, "Permission denied")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(EnvironmentFault, match=r"as root: echo 0 > .*randomize"):
        list(tune.apply(root))
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(root.parent / "cache"))

    governor = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    assert values(root)[governor] == "performance"
    list(tune.undo(root))
    assert values(root) == before


DAMAGED = (
    "", "{", "[]", "5", '{"a": 1}', '{"boot_id": "this-start"}', "[" * 9999, "\udcff",
    '{"boot_id": "this-start", "before": {"/x": 5}}',
    '{"boot_id": "this-start", "before": {"x": "5"}}',
    '{"boot_id": "this-start", "before": {"/\\u0000": "5"}}',
    '{"boot_id": 5, "before": {}}', '{"boot_id": "this-start", "before": [1]}',
)  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_state_is_one_error_that_names_its_file(
    root: Path, text: str
) -> None:
    tune.state_file().parent.mkdir(parents=True)
    tune.state_file().write_bytes(text.encode(errors="surrogateescape"))

    for use in (tune.left_changed, lambda root: list(tune.undo(root))):
        with pytest.raises(EnvironmentFault, match=r"tune\.json is damaged"):
            use(root)
    assert tune.state_file().exists()
