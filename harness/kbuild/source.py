"""Finds Debian's kernel sources, and patches the tree in which kernels are built.

All variants of a base are built in one tree. A change of the variant writes only the
files whose patched content differs, so make compiles only what depends on them. A
folder beside the tree keeps each patched file as it was before any patch, and a list
names the files that only patches create. With both, a variant leaves nothing to the
next one.
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
# In a patch: the two lines before the hunks of a file, with the first hunk if it
# creates the file; and git's header of a file.
_CHANGE = re.compile(
    r"^--- (?P<old>\S+)(?:\t.*)?\n\+\+\+ (?P<new>\S+)(?:\t.*)?\n(?P<none>@@ -0,0 )?",
    re.MULTILINE,
)
_GIT = re.compile(
    r"^diff --git (?P<old>\S+) (?P<new>\S+)\n(?P<headers>(?:(?!diff |--- |@@ ).+\n)*)",
    re.MULTILINE,
)
_MAKES = re.compile(r"^(?:new file|rename to|copy to) ", re.MULTILINE)
# A path without its first part, like patch --strip=1; does not match /dev/null.
_STRIPPED = re.compile(r"[^/]+/(?P<path>.+)")


@dataclass(frozen=True, slots=True)
class SourcePackage:
    """Debian's source package of a kernel: its tarball and its version."""

    tarball: Path
    version: str


def find_source(base: str) -> SourcePackage:
    """The installed linux-source package of a base.

    Raises EnvironmentFault, which says how to install it, or NoSuchSource if this
    Debian has no such package.
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
                f"{package}; use another --base, or add a suite that has the package "
                "to apt's sources"
            )
        raise EnvironmentFault(
            f"Debian's package {package} is not installed; "
            f"as root: apt-get install {package}"
        )
    return SourcePackage(tarball, version[1])


def candidates(policy: str) -> dict[str, str]:
    """The version that apt would install of each package in ``apt-cache policy``.

    Look up the package's whole name in the result. apt treats an unknown name as a
    pattern: if there is no linux-source-6.1, it shows linux-source-6.12.
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
        policy, lists = _policy(package), _policy()
    except (OSError, subprocess.SubprocessError):
        return False
    # Without package lists, apt does not know whether the package exists.
    return package not in candidates(policy) and " Packages\n" in lists


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
    """Make a tree exactly its source plus these patches; return the changed files.

    ``pristine`` keeps each file as it was before its first patch. A list beside it
    has the files that the source lacks and a patch created. Raises BuildFailed if a
    patch does not apply; then the tree does not change.
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
        # Remove files first: a file of one variant may be a folder of another.
        removed = [path for path in sorted(known - there) if (tree / path).is_file()]
        for path in removed:
            _remove(tree, path)
        new = pristine.with_name(pristine.name + ".new")
        written = [path for path in sorted(there) if _write(tree, patched, path, new)]
    return sorted(removed + written)


def touched_files(patch: str) -> list[str]:
    """The files that a patch changes, adds or deletes: each once, in its order."""
    return [path for path, _ in _touched(patch)]


def _touched(patch: str) -> list[tuple[str, bool]]:
    # Each file that a patch touches, and whether the patch itself creates it.
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
    # Copy the files that patches touch to ``pristine``, before they are patched. Return
    # the files that the source lacks.
    listed = pristine.with_name(pristine.name + ".lacks")
    before = {*listed.read_text().splitlines()} if listed.exists() else set()
    foreign = set(before)
    for path, made in (each for patch in patches for each in _touched(patch)):
        if ".." in path.split("/"):
            raise BuildFailed(f"a patch touches {path}, which is outside its tree")
        kept = pristine / path
        if path in foreign or kept.exists():
            continue
        if not (tree / path).is_file():
            if not made:
                raise BuildFailed(f"a patch touches {path}, which {tree} lacks")
            foreign.add(path)
            continue
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Written beside the folder, so that an incomplete copy is not in it.
        new = pristine.with_name(pristine.name + ".new")
        shutil.copyfile(tree / path, new)
        shutil.copymode(tree / path, new)
        new.rename(kept)
    if foreign != before:
        # Write the list before any of these files is in the tree. The rename makes it
        # complete at once.
        new = pristine.with_name(pristine.name + ".new")
        new.write_text("".join(f"{path}\n" for path in sorted(foreign)))
        new.rename(listed)
    return foreign


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _remove(tree: Path, path: str) -> None:
    # Remove a file, and the folders that are empty then.
    (tree / path).unlink()
    for folder in (tree / path).parents:
        if folder == tree or any(folder.iterdir()):
            return
        folder.rmdir()


def _write(tree: Path, patched: Path, path: str, new: Path) -> bool:
    # Replace a file in the tree by the one in ``patched``; return whether they
    # differed. The new file is written at ``new`` and renamed, never written in place:
    # the old one may be a hard link that other trees share.
    content, mode = (patched / path).read_bytes(), (patched / path).stat().st_mode
    to = tree / path
    if to.exists() and (to.read_bytes(), to.stat().st_mode) == (content, mode):
        return False
    to.parent.mkdir(parents=True, exist_ok=True)
    # The file gets a new modification time, so that make sees the change.
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
