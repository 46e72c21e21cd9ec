"""Finds what killed runs left on this machine, and removes or restores it.

A process holds a lock while it has something that a kill would leave behind. This
module takes that lock first, so it never touches anything in use.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentFault
from harness.host.clock_lock import lock_file, lock_is_left, remove_free_lock
from harness.host.locks import free_to_change
from harness.host.paths import cache_dir
from harness.host.scratch import abandoned_folders, remove_abandoned
from harness.machine import tune
from harness.machine.abandoned_settings import left_settings, put_back_left


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that a run left.

    ``mend`` removes or restores it, and yields a line for each thing it does. It
    raises EnvironmentFault or OSError if that is not allowed. ``mend`` is None if the
    user wanted this state or has to decide; then ``found`` says what to do.
    """

    found: str
    mend: Callable[[], Iterator[str]] | None


def find_leftovers(places: tuple[Path, ...] = ()) -> Iterator[Leftover]:
    """Everything that is left on this machine; ``places`` are further folders."""
    yield from _settings()
    yield from _tuned()
    temporary = Path(tempfile.gettempdir())
    for place in dict.fromkeys(
        path.resolve() for path in (temporary, cache_dir(), *places)
    ):
        for folder in abandoned_folders(place):
            yield Leftover(
                found=f"{folder}: a scratch folder whose process has ended",
                mend=_removing(folder, remove_abandoned),
            )
    yield from _half_made()
    yield from _old_answers()
    if lock_is_left():
        yield Leftover(
            found=f"{lock_file()}: a lock whose process has ended",
            mend=_removing(lock_file(), lambda _: remove_free_lock()),
        )


def _settings() -> Iterator[Leftover]:
    for path in left_settings():

        def mend(path: Path = path) -> Iterator[str]:
            for name, value in put_back_left(path).items():
                yield f"{name}: restored to {value}"
            yield f"removed {path}"

        yield Leftover(found=f"{path}: settings that were not restored", mend=mend)


def _tuned() -> Iterator[Leftover]:
    with tune.not_in_use() as is_free:
        try:
            done = tune.left_changed()
        except EnvironmentFault as damaged:
            yield Leftover(found=str(damaged), mend=None)
            return
        stale = done is None and tune.state_file().exists()
    if not is_free:
        return
    if done:
        yield Leftover(
            found="this machine is tuned; to undo it: anonvma tune --undo", mend=None
        )
    elif done is not None or stale:
        what = (
            "settings from before this machine was restarted"
            if stale
            else "settings of a tuning that was interrupted"
        )
        yield Leftover(found=f"{tune.state_file()}: {what}", mend=_untune)


def _untune() -> Iterator[str]:
    with tune.not_in_use() as is_free:
        if not is_free:
            return
        for path, value in tune.undo_locked():
            yield f"{path}: restored to {value}"
    yield f"removed {tune.state_file()}"


def _half_made() -> Iterator[Leftover]:
    # What killed builds left, in folders in which no build runs now.
    cache = cache_dir()
    rooms = [
        *(cache / "build").glob("*"),
        *(cache / name for name in ("kselftest", "rootfs", "sources")),
    ]
    for room in sorted(room for room in rooms if room.is_dir()):
        with free_to_change(room / "lock") as is_free:
            found = _half_made_in(room) if is_free else []
        for path in found:

            def remove(path: Path, room: Path = room) -> bool:
                with free_to_change(room / "lock") as is_free:
                    if is_free and path.is_dir():
                        shutil.rmtree(path)
                    elif is_free:
                        path.unlink(missing_ok=True)
                    return is_free

            yield Leftover(
                found=f"{path}: left by an interrupted build",
                mend=_removing(path, remove),
            )


def _half_made_in(room: Path) -> list[Path]:
    patterns = ("making-*", "*/making-*", "*/pristine.new")
    return sorted(path for pattern in patterns for path in room.glob(pattern))


def _old_answers() -> Iterator[Leftover]:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    for path in sorted(cache_dir().glob("kvm-*")):
        if not path.name.endswith(boot_id):

            def remove(path: Path) -> bool:
                path.unlink(missing_ok=True)
                return True

            yield Leftover(
                found=f"{path}: whether KVM worked before this machine was restarted",
                mend=_removing(path, remove),
            )


def _removing(
    path: Path, remove: Callable[[Path], bool]
) -> Callable[[], Iterator[str]]:
    def mend() -> Iterator[str]:
        try:
            removed = remove(path)
        except OSError as error:
            raise EnvironmentFault(
                f"{path} cannot be removed: {os.strerror(error.errno or 0)}"
            ) from None
        if removed:
            yield f"removed {path}"

    return mend
