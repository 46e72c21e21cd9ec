"""Source trees: of Debian's package, patched in place, kept.

All variants of a base are built in one tree. Going from one to another writes
only the files whose patched content differs, so make compiles only what those
reach. What a file was before any patch is kept beside the tree, with a list of
files that only patches have: a variant leaves none of those to the next.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BuildFailed, EnvironmentFault, NoSuchSource
from harness.host.scratch import scratch_folder

_APT_DEADLINE_S = 60
# Of a patch: what it says of a file, with a hunk that makes one; and what git says.
_CHANGE = re.compile(
    r"^--- (?P<old>\S+)(?:\t.*)?\n\+\+\+ (?P<new>\S+)(?:\t.*)?\n(?P<none>@@ -0,0 )?",
    re.MULTILINE,
)
_GIT = re.compile(
    r"^diff --git (?P<old>\S+) (?P<new>\S+)\n(?P<headers>(?:(?!diff |--- |@@ ).+\n)*)",
    re.MULTILINE,
)
_MAKES = re.compile(r"^(?:new file|rename to|copy to) ", re.MULTILINE)
# A name without its first part, as patch --strip=1 has it; not /dev/null.
_STRIPPED = re.compile(r"[^/]+/(?P<path>.+)")


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


def apply_patches(tree: Path, pristine: Path, patches: Sequence[Path]) -> list[str]:
    """Bring a tree to exactly its source plus these patches; the files that changed.

    ``pristine`` keeps each file as it was before it was first patched; a list beside
    it has those that the source lacks, and some patch made. Raises BuildFailed when
    a patch does not apply; the tree is then as it was.
    """
    pristine.mkdir(exist_ok=True)
    foreign = _keep_pristine(tree, pristine, [patch.read_text() for patch in patches])
    with scratch_folder() as scratch:
        patched = scratch / "tree"
        shutil.copytree(pristine, patched)
        for patch in patches:
            _apply(patch, patched)
        there = {str(p.relative_to(patched)) for p in _files(patched)}
        known = {str(p.relative_to(pristine)) for p in _files(pristine)} | foreign
        # First, as one variant's file may be another's folder.
        gone = [path for path in sorted(known - there) if (tree / path).is_file()]
        for path in gone:
            _remove(tree, path)
        new = pristine.with_name(pristine.name + ".new")
        written = [path for path in sorted(there) if _write(tree, patched, path, new)]
    return sorted(gone + written)


def touched_files(patch: str) -> list[str]:
    """The files that a patch changes, adds or deletes, each once, in its order."""
    return [path for path, _ in _touched(patch)]


def _touched(patch: str) -> list[tuple[str, bool]]:
    """Each file that a patch touches, and whether the patch itself makes it."""
    found: dict[str, bool] = {}
    for match in _CHANGE.finditer(patch):
        old, new = (_STRIPPED.fullmatch(match[name]) for name in ("old", "new"))
        makes = old is None or match["none"] is not None
        for name in (old, new):
            if name is not None:
                found.setdefault(name["path"], makes)
    for match in _GIT.finditer(patch):
        old, new = (_STRIPPED.fullmatch(match[name]) for name in ("old", "new"))
        makes = _MAKES.search(match["headers"]) is not None
        for name, made in ((old, makes and old == new), (new, makes)):
            if name is not None:
                found[name["path"]] = found.get(name["path"], False) or made
    return list(found.items())


def _keep_pristine(tree: Path, pristine: Path, patches: Sequence[str]) -> set[str]:
    """Keep what patches touch as it is in the source; the files that it lacks."""
    listed = pristine.with_name(pristine.name + ".lacks")
    before = {*listed.read_text().splitlines()} if listed.exists() else set()
    foreign = set(before)
    for path, made in (each for patch in patches for each in _touched(patch)):
        if ".." in path.split("/"):
            raise BuildFailed(f"a patch touches {path}, which is outside of its tree")
        kept = pristine / path
        if path in foreign or kept.exists():
            continue
        if not (tree / path).is_file():
            if not made:
                raise BuildFailed(f"a patch touches {path}, which {tree} lacks")
            foreign.add(path)
            continue
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Beside the folder: one that stays half made is no file of the tree.
        new = pristine.with_name(pristine.name + ".new")
        shutil.copyfile(tree / path, new)
        shutil.copymode(tree / path, new)
        new.rename(kept)
    if foreign != before:
        # Before any of them is in the tree, whole or not at all.
        new = pristine.with_name(pristine.name + ".new")
        new.write_text("".join(f"{path}\n" for path in sorted(foreign)))
        new.rename(listed)
    return foreign


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _remove(tree: Path, path: str) -> None:
    """Remove a file, and the folders that it leaves empty."""
    (tree / path).unlink()
    for folder in (tree / path).parents:
        if folder == tree or any(folder.iterdir()):
            return
        folder.rmdir()


def _write(tree: Path, patched: Path, path: str, new: Path) -> bool:
    """Make a file of the tree what it is in ``patched``; whether it was another.

    It is put in the other's place, made at ``new``: that may be a link to a file
    that other trees have too.
    """
    content, mode = (patched / path).read_bytes(), (patched / path).stat().st_mode
    to = tree / path
    if to.exists() and (to.read_bytes(), to.stat().st_mode) == (content, mode):
        return False
    to.parent.mkdir(parents=True, exist_ok=True)
    # A new time, whichever way the change goes: make must see it.
    new.write_bytes(content)
    new.chmod(mode)
    new.rename(to)
    return True


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
