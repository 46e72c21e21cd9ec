"""Changes the settings of this machine that disturb measurements, and restores them.

The old value of a setting is written to disk before the setting is changed. So it can
be restored after a crash too, and restoring twice does no harm. The file also records
whether all changes were made. A restart of the machine restores all settings.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.errors import EnvironmentFault
from harness.host.files import read_small
from harness.host.locks import exclusive, free_to_change
from harness.host.paths import cache_dir
from harness.host.scratch import scratch_folder

_CPUS = "sys/devices/system/cpu"
_BOOT_ID = "proc/sys/kernel/random/boot_id"

# A million VMAs, and the other VMAs of a process.
_MAP_COUNT = "1100000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """A setting of the kernel that disturbs measurements unless it is ``wanted``.

    ``paths`` is a pattern of its files, below the root of the file system.
    """

    subject: str
    paths: str
    wanted: str
    why: str


KNOBS = (
    Knob(
        subject="governor",
        paths=f"{_CPUS}/cpu[0-9]*/cpufreq/scaling_governor",
        wanted="performance",
        why="the clock rate follows the load",
    ),
    Knob(
        subject="turbo (Intel)",
        paths=f"{_CPUS}/intel_pstate/no_turbo",
        wanted="1",
        why="the clock rate follows temperature and neighbours",
    ),
    Knob(
        subject="turbo",
        paths=f"{_CPUS}/cpufreq/boost",
        wanted="0",
        why="the clock rate follows temperature and neighbours",
    ),
    Knob(
        subject="SMT siblings",
        paths=f"{_CPUS}/smt/control",
        wanted="off",
        why="a sibling can take half of a core at any time",
    ),
    Knob(
        subject="ASLR",
        paths="proc/sys/kernel/randomize_va_space",
        wanted="0",
        why="each process has another layout, so other cache conflicts",
    ),
    Knob(
        subject="THP",
        paths="sys/kernel/mm/transparent_hugepage/enabled",
        wanted="never",
        why="whether memory gets huge pages depends on what was free",
    ),
    Knob(
        subject="vm.max_map_count",
        paths="proc/sys/vm/max_map_count",
        wanted=_MAP_COUNT,
        why="a process on this kernel cannot have more VMAs than this",
    ),
)

# The values of smt/control on a machine where it cannot be changed.
_NO_CHOICE = ("notsupported", "notimplemented", "forceoff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The file of a setting, and its value."""

    knob: Knob
    path: Path
    value: str

    @property
    def disturbs(self) -> bool:
        """Whether the value disturbs measurements."""
        if self.knob.subject == "vm.max_map_count":
            return int(self.value) < int(self.knob.wanted)
        return self.value != self.knob.wanted and self.value not in _NO_CHOICE


def settings_here(root: Path = Path("/")) -> list[Setting]:
    """Every setting that this machine has."""
    return [
        Setting(knob=knob, path=path, value=_value(path))
        for knob in KNOBS
        for path in sorted(root.glob(knob.paths))
    ]


def remarks(root: Path = Path("/")) -> Iterator[tuple[str, str]]:
    """What else can disturb measurements: (subject, what was found)."""
    isolated = root / _CPUS / "isolated"
    cpus = _value(isolated) if isolated.exists() else ""
    yield (
        "isolated CPUs",
        cpus or "none (isolcpus= on the kernel's command line isolates some)",
    )
    yield "load", f"{psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} CPUs"
    siblings = {
        _value(path)
        for path in root.glob(f"{_CPUS}/cpu[0-9]*/topology/thread_siblings_list")
    }
    if shared := sorted(s for s in siblings if not s.isdigit()):
        yield "cores shared by", "; ".join(shared)


def apply(root: Path = Path("/")) -> Iterator[Setting]:
    """Change the settings that disturb; yield each one just before it is changed.

    Raises EnvironmentFault if one cannot be changed. The changes before it are kept;
    ``undo`` restores them.
    """
    with _locked():
        for setting in settings_here(root):
            if not setting.disturbs:
                continue
            _remember(setting, root)
            yield setting
            _write(setting.path, setting.knob.wanted)
        _store(_remembered(root), root, done=True)


def left_changed(root: Path = Path("/")) -> bool | None:
    """Whether ``apply`` made all its changes; None if nothing is changed.

    While an ``apply`` runs, this is False too; see ``not_in_use``.
    """
    document = _document(root)
    if not document.get("before"):
        return None
    # Older files have no "done". Most of them were complete.
    return bool(document.get("done", True))


@contextlib.contextmanager
def not_in_use() -> Iterator[bool]:
    """Lock the settings within the context; False if another process has the lock."""
    with free_to_change(cache_dir() / "tune.lock") as is_free:
        yield is_free


def undo(root: Path = Path("/")) -> Iterator[tuple[Path, str]]:
    """Restore what ``apply`` changed; yield each path with its old value.

    Raises EnvironmentFault if one cannot be restored; its old value is kept on disk.
    """
    with _locked():
        yield from undo_locked(root)


def undo_locked(root: Path = Path("/")) -> Iterator[tuple[Path, str]]:
    """The same, for a caller that is in ``not_in_use`` already."""
    if before := _remembered(root):
        # The last change first. Then each file exists as it did when it was changed.
        for name, value in reversed(list(before.items())):
            yield Path(name), value
            _write(Path(name), value)
            del before[name]
            _store(before, root)
    elif state_file().exists():
        # The file is from before a restart of the machine.
        state_file().unlink()


def _value(path: Path) -> str:
    text = path.read_text().strip()
    # Some files list all choices and put the current one in brackets.
    chosen = re.search(r"\[(\w+)\]", text)
    return chosen[1] if chosen else text


def _write(path: Path, value: str) -> None:
    try:
        path.write_text(value)
    except OSError as error:
        raise EnvironmentFault(
            f"{path} cannot be set to {value} here ({error.strerror}); as root: "
            f"echo {value} > {path}"
        ) from None


def state_file() -> Path:
    """The file with the old values. It does not exist if nothing is changed."""
    return cache_dir() / "tune.json"


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    cache_dir().mkdir(parents=True, exist_ok=True)
    with exclusive(cache_dir() / "tune.lock"):
        yield


def _remember(setting: Setting, root: Path) -> None:
    before = _remembered(root)
    # Keep the value from before the first change: a second apply does not replace it.
    before.setdefault(str(setting.path), setting.value)
    _store(before, root)


def _remembered(root: Path) -> dict[str, str]:
    return dict(_document(root).get("before", {}))


def _document(root: Path) -> dict[str, Any]:
    try:
        state = parse_state(read_small(state_file()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, RecursionError):
        raise EnvironmentFault(
            f"{state_file()} is damaged, so the settings from before anonvma tune "
            "--apply are unknown. Restart this machine to restore them, then "
            f"rm {state_file()}"
        ) from None
    return state if state["boot_id"] == _value(root / _BOOT_ID) else {}


def parse_state(text: str) -> dict[str, Any]:
    """Parse the file: boot_id, before, done.

    Raises ValueError, TypeError or RecursionError for anything else.
    """
    # Any: the content of JSON is unknown until it is checked here.
    state: Any = json.loads(text)
    if not isinstance(state, dict):
        raise TypeError("not an object")
    before = state.get("before")
    if not isinstance(before, dict) or not isinstance(state.get("boot_id"), str):
        raise TypeError("boot_id or before is missing")
    for path, value in before.items():
        if not isinstance(value, str) or not path.startswith("/") or "\0" in path:
            raise ValueError("the path or the value of a setting is invalid")
    return state


def _store(before: Mapping[str, str], root: Path, *, done: bool = False) -> None:
    if not before:
        state_file().unlink(missing_ok=True)
        return
    document = {"boot_id": _value(root / _BOOT_ID), "before": before, "done": done}
    with scratch_folder(cache_dir()) as scratch:
        made = scratch / "tune.json"
        with open(made, "w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        made.replace(state_file())
