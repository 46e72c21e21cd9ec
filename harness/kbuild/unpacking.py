"""Debian's sources unpacked: once for each version, however many trees there are.

Every machine has a tree of its own to build in, and so have kernels that can be
read. Unpacked one by one they would take a minute and 1.7 GiB each. Their files
are links to those that were unpacked once: make writes beside the sources, never
into them, and who patches a file puts another in its place.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import BuildFailed
from harness.host.locks import exclusive
from harness.host.paths import cache_dir
from harness.host.programs import run_logged, tail_of
from harness.kbuild.source import SourcePackage

_DEADLINE_S = 900


def unpack_source(
    package: SourcePackage, tree: Path, log: Path, *, on_step: Callable[[str], None]
) -> None:
    """Make ``tree`` a tree of a source package, whole or not at all; once.

    Raises BuildFailed with the end of the log.
    """
    if tree.exists():
        return
    with _unpacked(package, log, on_step) as whole, _making(tree) as made:
        # Where files cannot have two names, they are copied.
        for how in ("--link", "--reflink=auto"):
            argv = ["cp", "--archive", how, f"{whole}/.", str(made)]
            if run_logged(argv, log, deadline_s=_DEADLINE_S) == 0:
                return
        raise BuildFailed(f"{whole} was not copied to {tree}:\n{tail_of(log)}")


def take_files(
    package: SourcePackage, names: Sequence[str], folder: Path, log: Path
) -> None:
    """Put some files of a package into ``folder``, as they are in its tree.

    They are taken of what was unpacked before, if it was: it never changes. Raises
    BuildFailed with the end of the log.
    """
    whole = _place(package)
    if whole.exists():
        try:
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(whole / name, folder / name)
            return
        except FileNotFoundError:
            # It is gone by now, or has no such file: the package tells which.
            pass
    _extract(package, folder, log, names)


@contextmanager
def _unpacked(
    package: SourcePackage, log: Path, on_step: Callable[[str], None]
) -> Iterator[Path]:
    """All of a package, unpacked if need be, and there while the block lasts."""
    whole = _place(package)
    room = whole.parent
    room.mkdir(parents=True, exist_ok=True)
    waiting = f"waiting for linux {package.version} to be unpacked"
    with exclusive(room / "lock", on_wait=lambda: on_step(waiting)):
        # Other versions, and what was killed over one.
        for old in [*room.glob(f"{_name(package)}_*"), *room.glob("making-*")]:
            if old != whole:
                shutil.rmtree(old)
        if not whole.exists():
            on_step(f"unpacking linux {package.version}")
            with _making(whole) as made:
                _extract(package, made, log)
        yield whole


@contextmanager
def _making(place: Path) -> Iterator[Path]:
    """A folder that is at ``place`` after the block, unless that raises."""
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="making-") as scratch:
        made = Path(scratch) / "whole"
        made.mkdir()
        yield made
        made.rename(place)


def _extract(
    package: SourcePackage, folder: Path, log: Path, names: Sequence[str] = ()
) -> None:
    top = _name(package)
    status = run_logged(
        [
            "tar", "--extract", f"--file={package.tarball}", f"--directory={folder}",
            "--strip-components=1", "--no-same-owner",
            *(f"{top}/{name}" for name in names),
        ],
        log,
        deadline_s=_DEADLINE_S,
        # Debian packs in blocks: each processor can have one.
        env={**os.environ, "XZ_DEFAULTS": "--threads=0"},
    )  # fmt: skip
    if status != 0:
        failed = f"gave no {Path(names[0]).name}" if names else "was not unpacked"
        raise BuildFailed(
            f"{package.tarball} {failed}; the whole log is {log}, its end:\n"
            f"{tail_of(log)}"
        )


def _name(package: SourcePackage) -> str:
    return package.tarball.name.partition(".tar")[0]


def _place(package: SourcePackage) -> Path:
    return cache_dir() / "sources" / f"{_name(package)}_{package.version}"
