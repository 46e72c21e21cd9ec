"""Source trees: unpacked once from Debian's package, patched in place, kept.

All variants of a base are built in one tree. Going from one to another writes
only the files whose patched content differs, so make compiles only what those
reach; what a file was before any patch is kept beside the tree.
"""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BuildFailed, EnvironmentFault, NoSuchSource
from harness.programs import run_logged, tail_of
from harness.scratch import scratch_folder

_UNPACK_DEADLINE_S = 900
_APT_DEADLINE_S = 60
_TOUCHED = re.compile(r"^(?:---|\+\+\+) [ab]/(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SourcePackage:
    """Debian's source of a kernel: its tarball and the package's version."""

    tarball: Path
    version: str


def find_source(base: str) -> SourcePackage:
    """The installed linux-source package of a base.

    Raises EnvironmentFault, which says how to install it; NoSuchSource where this
    Debian has none to install.
    """
    package = f"linux-source-{base}"
    try:
        version = subprocess.run(
            [
                "dpkg-query", "--show",
                "--showformat=${db:Status-Status} ${Version}", package,
            ],
            capture_output=True, text=True, check=True, timeout=_APT_DEADLINE_S,
        ).stdout.split()  # fmt: skip
    except (FileNotFoundError, subprocess.CalledProcessError):
        version = []
    tarball = Path(f"/usr/src/{package}.tar.xz")
    if len(version) != 2 or version[0] != "installed" or not tarball.exists():
        if _is_lacking(package):
            raise NoSuchSource(
                f"linux {base} cannot be built here: {_debian()} has no package "
                f"{package}; what can: another --base, or a suite with it in apt's "
                "sources"
            )
        raise EnvironmentFault(
            f"Debian's package {package} is not installed; "
            f"as root: apt-get install {package}"
        )
    return SourcePackage(tarball, version[1])


def candidates(policy: str) -> dict[str, str]:
    """What ``apt-cache policy`` would install: a version for each package's name.

    Names must be looked up in here, whole: apt takes one that it does not know for a
    pattern, and tells of linux-source-6.12 when asked for linux-source-6.1.
    """
    found, name = {}, ""
    for line in policy.splitlines():
        if not line.startswith(" "):
            name = line.removesuffix(":")
        elif line.startswith("  Candidate: ") and not line.endswith("(none)"):
            found[name] = line.removeprefix("  Candidate: ")
    return found


def _is_lacking(package: str) -> bool:
    try:
        told, lists = _policy(package), _policy()
    except (OSError, subprocess.SubprocessError):
        return False
    # Only who has lists of packages can tell that one is not in them.
    return package not in candidates(told) and " Packages\n" in lists


def _policy(*packages: str) -> str:
    return subprocess.run(
        ["apt-cache", "policy", *packages],
        capture_output=True, text=True, check=True, timeout=_APT_DEADLINE_S,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    ).stdout  # fmt: skip


def _debian() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "this Debian"


def unpack_source(package: SourcePackage, tree: Path, log: Path) -> None:
    """Unpack a source package to ``tree``, whole or not at all; once.

    Raises BuildFailed with the end of the log.
    """
    if tree.exists():
        return
    with tempfile.TemporaryDirectory(dir=tree.parent, prefix="making-") as scratch:
        status = run_logged(
            [
                "tar", "--extract", f"--file={package.tarball}",
                f"--directory={scratch}", "--strip-components=1",
                "--no-same-owner",
            ],
            log,
            deadline_s=_UNPACK_DEADLINE_S,
        )  # fmt: skip
        if status != 0:
            raise BuildFailed(f"{package.tarball} was not unpacked:\n{tail_of(log)}")
        (Path(scratch) / "Makefile").stat()
        Path(scratch).rename(tree)
        Path(scratch).mkdir()


def apply_patches(tree: Path, pristine: Path, patches: Sequence[Path]) -> list[str]:
    """Bring a tree to exactly its source plus these patches; the files written.

    ``pristine`` keeps each file as it was before it was first patched. Raises
    BuildFailed when a patch does not apply; the tree is then as it was.
    """
    wanted = [path for patch in patches for path in touched_files(patch.read_text())]
    pristine.mkdir(exist_ok=True)
    for path in wanted:
        kept = pristine / path
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            # Beside the folder: one that stays half made is no file of the tree.
            new = pristine.with_name(pristine.name + ".new")
            try:
                shutil.copyfile(tree / path, new)
            except FileNotFoundError:
                raise BuildFailed(
                    f"a patch touches {path}, which {tree} lacks"
                ) from None
            new.rename(kept)
    with scratch_folder() as scratch:
        patched = scratch / "tree"
        shutil.copytree(pristine, patched)
        for patch in patches:
            _apply(patch, patched)
        written = []
        for made in sorted(p for p in patched.rglob("*") if p.is_file()):
            path = str(made.relative_to(patched))
            content = made.read_bytes()
            if (tree / path).read_bytes() != content:
                # A new time, whichever way the change goes: make must see it.
                (tree / path).write_bytes(content)
                written.append(path)
    return written


def touched_files(patch: str) -> list[str]:
    """The files that a patch changes, each once, in the patch's order."""
    return list(dict.fromkeys(_TOUCHED.findall(patch)))


def _apply(patch: Path, tree: Path) -> None:
    done = subprocess.run(
        [
            "patch", "--strip=1", "--batch", "--forward", "--fuzz=0",
            "--no-backup-if-mismatch", f"--directory={tree}", f"--input={patch}",
        ],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode:
        raise BuildFailed(f"{patch} does not apply:\n{done.stdout}{done.stderr}")
