"""What on this machine disturbs measurements, changed and put back on request.

What a setting was is on disk before it is changed, so that it can be put back
after a crash too, once or twice over; and whether all that was to be changed has
been. A restart of the machine has put all of it back already.
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

# A million VMAs, and a process around them.
_MAP_COUNT = "1100000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """A file of the kernel's that disturbs unless it holds ``wanted``.

    ``paths`` is a pattern below the root of the file system.
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
        why="a sibling takes half of a core when it likes",
    ),
    Knob(
        subject="ASLR",
        paths="proc/sys/kernel/randomize_va_space",
        wanted="0",
        why="each process has another layout, and other cache conflicts",
    ),
    Knob(
        subject="THP",
        paths="sys/kernel/mm/transparent_hugepage/enabled",
        wanted="never",
        why="whether memory is huge pages depends on what was free",
    ),
    Knob(
        subject="vm.max_map_count",
        paths="proc/sys/vm/max_map_count",
        wanted=_MAP_COUNT,
        why="more VMAs than that cannot be measured on this kernel",
    ),
)

# What smt/control says where there is nothing to choose.
_NO_CHOICE = ("notsupported", "notimplemented", "forceoff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One file: what it holds, and whether that disturbs."""

    knob: Knob
    path: Path
    value: str

    @property
    def disturbs(self) -> bool:
        """Whether it should hold something else."""
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
    """What disturbs and is no setting: (subject, what was found)."""
    isolated = root / _CPUS / "isolated"
    cpus = _value(isolated) if isolated.exists() else ""
    yield (
        "isolated CPUs",
        cpus or "none (isolcpus= on the kernel's command line sets some apart)",
    )
    yield "load", f"{psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} CPUs"
    siblings = {
        _value(path)
        for path in root.glob(f"{_CPUS}/cpu[0-9]*/topology/thread_siblings_list")
    }
    if shared := sorted(s for s in siblings if not s.isdigit()):
        yield "cores shared by", "; ".join(shared)


def apply(root: Path = Path("/")) -> Iterator[Setting]:
    """Change what disturbs; yields each setting just before it is changed.

    Raises EnvironmentFault where one may not be changed; those before it stay
    changed, and ``undo`` puts them back.
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
    """Whether ``apply`` changed all it was to: None where nothing is changed.

    False is also what one looks like that is not done yet; see ``not_in_use``.
    """
    document = _document(root)
    if not document.get("before"):
        return None
    # Written before there was the word: told done, as most are.
    return bool(document.get("done", True))


@contextlib.contextmanager
def not_in_use() -> Iterator[bool]:
    """Keep others from changing settings for the block; whether none is at it."""
    with free_to_change(cache_dir() / "tune.lock") as is_free:
        yield is_free


def undo(root: Path = Path("/")) -> Iterator[tuple[Path, str]]:
    """Put back what ``apply`` changed; yields each path with its value of before.

    Raises EnvironmentFault where one may not be changed; it is kept in mind.
    """
    with _locked():
        yield from undo_locked(root)


def undo_locked(root: Path = Path("/")) -> Iterator[tuple[Path, str]]:
    """The same, for who is in ``not_in_use`` already."""
    if before := _remembered(root):
        # The last change first: what was reachable when it was made is again.
        for name, value in reversed(list(before.items())):
            yield Path(name), value
            _write(Path(name), value)
            del before[name]
            _store(before, root)
    elif state_file().exists():
        # Of another start of the machine.
        state_file().unlink()


def _value(path: Path) -> str:
    text = path.read_text().strip()
    # A choice is shown as all there are, the one in force in brackets.
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
    """Where what was before is kept; with nothing to put back there is no file."""
    return cache_dir() / "tune.json"


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    cache_dir().mkdir(parents=True, exist_ok=True)
    with exclusive(cache_dir() / "tune.lock"):
        yield


def _remember(setting: Setting, root: Path) -> None:
    before = _remembered(root)
    # What it was before the first change: a second apply changes nothing of it.
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
            f"{state_file()} is damaged: what settings were before anonvma tune "
            "--apply is not known. A restart of this machine puts them back; then "
            f"rm {state_file()}"
        ) from None
    return state if state["boot_id"] == _value(root / _BOOT_ID) else {}


def parse_state(text: str) -> dict[str, Any]:
    """What was kept: boot_id, before, done. ValueError or such for anything else."""
    # Any: what JSON holds is unknown until it is checked here.
    state: Any = json.loads(text)
    if not isinstance(state, dict):
        raise TypeError("no object")
    before = state.get("before")
    if not isinstance(before, dict) or not isinstance(state.get("boot_id"), str):
        raise TypeError("it does not say of when it is, or what was before")
    for path, value in before.items():
        if not isinstance(value, str) or not path.startswith("/") or "\0" in path:
            raise ValueError("a setting is no file, or its value no text")
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
