"""Unpacks Debian's sources once per version, for all trees.

Every machine has its own tree, and readable kernels have another one. To unpack each
of them would take a minute and 1.7 GiB. Instead, the files of a tree are hard links to
one unpacked copy. This is safe because make writes beside the sources and never into
them, and a patched file replaces its link by a new file.
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
    """Make ``tree`` a complete tree of a source package, if it does not exist.

    Raises BuildFailed with the end of the log; then there is no ``tree``.
    """
    if tree.exists():
        return
    with _unpacked(package, log, on_step) as whole, _making(tree) as made:
        # If the file system has no hard links, the files are copied.
        for how in ("--link", "--reflink=auto"):
            argv = ["cp", "--archive", how, f"{whole}/.", str(made)]
            if run_logged(argv, log, deadline_s=_DEADLINE_S) == 0:
                return
        raise BuildFailed(f"{whole} could not be copied to {tree}:\n{tail_of(log)}")


def take_files(
    package: SourcePackage, names: Sequence[str], folder: Path, log: Path
) -> None:
    """Put some files of a package into ``folder``, under their paths in the tree.

    They come from the unpacked copy, which never changes, or from the tarball. Raises
    BuildFailed with the end of the log.
    """
    whole = _copy_path(package)
    if whole.exists():
        try:
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(whole / name, folder / name)
            return
        except FileNotFoundError:
            # The copy was removed meanwhile, or lacks the file. tar will report it if
            # the package lacks it too.
            pass
    _extract(package, folder, log, names)


@contextmanager
def _unpacked(
    package: SourcePackage, log: Path, on_step: Callable[[str], None]
) -> Iterator[Path]:
    # The unpacked copy of a package, unpacked now if needed. The lock keeps it in place
    # until the block ends.
    whole = _copy_path(package)
    room = whole.parent
    room.mkdir(parents=True, exist_ok=True)
    waiting = f"waiting for linux {package.version} to be unpacked"
    with exclusive(room / "lock", on_wait=lambda: on_step(waiting)):
        # Remove other versions, and what a killed unpacking left.
        for old in [*room.glob(f"{_name(package)}_*"), *room.glob("making-*")]:
            if old != whole:
                shutil.rmtree(old)
        if not whole.exists():
            on_step(f"unpacking linux {package.version}")
            with _making(whole) as made:
                _extract(package, made, log)
        yield whole


@contextmanager
def _making(folder: Path) -> Iterator[Path]:
    # A scratch folder, renamed to ``folder`` after the block unless that raises.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as scratch:
        made = Path(scratch) / "whole"
        made.mkdir()
        yield made
        made.rename(folder)


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
        # Debian compresses in blocks, so all CPUs can decompress in parallel.
        env={**os.environ, "XZ_DEFAULTS": "--threads=0"},
    )  # fmt: skip
    if status != 0:
        what = (
            f"{Path(names[0]).name} in {package.tarball}" if names else package.tarball
        )
        raise BuildFailed(
            f"{what} could not be unpacked; the whole log is {log}, its end:\n"
            f"{tail_of(log)}"
        )


def _name(package: SourcePackage) -> str:
    return package.tarball.name.partition(".tar")[0]


def _copy_path(package: SourcePackage) -> Path:
    return cache_dir() / "sources" / f"{_name(package)}_{package.version}"
