import difflib
import os
import shutil
from pathlib import Path

import pytest

from harness.errors import BuildFailed, EnvironmentFault, NoSuchSource
from harness.kbuild import find_source
from harness.kbuild.source import (
    SourcePackage,
    apply_patches,
    candidates,
    touched_files,
)

needs_patch = pytest.mark.skipif(
    shutil.which("patch") is None, reason="there is no patch(1) here"
)

FILES = {
    "mm/a.c": "".join(f"a{i}\n" for i in range(20)),
    "mm/b.c": "".join(f"b{i}\n" for i in range(20)),
    "kernel/c.c": "c\n",
}


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def change(path: str, old: str, new: str) -> str:
    """A patch of a file of FILES."""
    lines = FILES[path].splitlines(keepends=True)
    changed = FILES[path].replace(old, new).splitlines(keepends=True)
    return "".join(difflib.unified_diff(lines, changed, f"a/{path}", f"b/{path}"))


def test_the_files_that_a_patch_changes_are_told_once_in_its_order() -> None:
    patch = (
        "Subject: words\n--- not a file\n"
        + change("mm/b.c", "b3\n", "x\n")
        + change("mm/a.c", "a3\n", "x\n")
        + change("mm/b.c", "b9\n", "x\n")
    )

    assert touched_files(patch) == ["mm/b.c", "mm/a.c"]


@pytest.mark.parametrize(
    ("patch", "files"),
    [
        ("--- /dev/null\n+++ b/mm/n.c\n@@ -0,0 +1 @@\n+n\n", ["mm/n.c"]),
        ("--- a/mm/b.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n", ["mm/b.c"]),
        ("--- linux/mm/n.c\t1970-01-01\n+++ new/mm/n.c\t2026-01-01\n", ["mm/n.c"]),
        ("diff --git a/e b/e\nnew file mode 100644\nindex 0..e\n", ["e"]),
        ("diff --git a/o b/n\nrename from o\nrename to n\n", ["o", "n"]),
        ("diff --git a/mm/a.c b/mm/a.c\n--- a/mm/a.c\n+++ b/mm/a.c\n", ["mm/a.c"]),
    ],
    ids=["added", "deleted", "of no git", "added empty", "renamed", "changed"],
)
def test_files_that_come_and_go_are_told_too(patch: str, files: list[str]) -> None:
    assert touched_files(patch) == files


class Tree:
    """A source tree of FILES, and what is kept beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.pristine = folder / "pristine"
        for name, text in FILES.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def apply(self, *patches: str) -> list[str]:
        paths = []
        for number, text in enumerate(patches):
            paths.append(self.folder / f"{number}.patch")
            paths[-1].write_text(text)
        return apply_patches(self.source, self.pristine, paths)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


A = change("mm/a.c", "a3\n", "changed by A\n")
B = change("mm/b.c", "b3\n", "changed by B\n")
A_AND_B = change("mm/a.c", "a17\n", "changed by both\n") + B

WITH_A = {**FILES, "mm/a.c": FILES["mm/a.c"].replace("a3\n", "changed by A\n")}
WITH_B = {**FILES, "mm/b.c": FILES["mm/b.c"].replace("b3\n", "changed by B\n")}


@needs_patch
def test_a_tree_is_its_source_plus_the_patches(tree: Tree) -> None:
    assert tree.apply(A) == ["mm/a.c"]
    assert contents(tree.source) == WITH_A


@needs_patch
def test_patches_of_one_file_are_applied_one_after_the_other(tree: Tree) -> None:
    assert tree.apply(A, A_AND_B) == ["mm/a.c", "mm/b.c"]
    assert contents(tree.source) == {
        **WITH_B,
        "mm/a.c": WITH_A["mm/a.c"].replace("a17\n", "changed by both\n"),
    }


@needs_patch
def test_patches_that_are_applied_already_write_nothing(tree: Tree) -> None:
    tree.apply(A, B)

    assert tree.apply(A, B) == []


@needs_patch
def test_other_patches_take_the_place_of_those_before(tree: Tree) -> None:
    tree.apply(A)

    assert tree.apply(B) == ["mm/a.c", "mm/b.c"]
    assert contents(tree.source) == WITH_B


@needs_patch
def test_no_patches_bring_the_source_back(tree: Tree) -> None:
    tree.apply(A, B)

    assert tree.apply() == ["mm/a.c", "mm/b.c"]
    assert contents(tree.source) == FILES


def test_a_tree_that_never_was_patched_takes_no_patches(tree: Tree) -> None:
    assert tree.apply() == []
    assert contents(tree.source) == FILES


@needs_patch
def test_only_files_that_differ_are_written(tree: Tree) -> None:
    tree.apply(A)
    before = {p: p.stat().st_mtime_ns for p in tree.source.rglob("*.c")}

    tree.apply(A, B)

    after = {p: p.stat().st_mtime_ns for p in tree.source.rglob("*.c")}
    changed = {p for p, mtime_ns in after.items() if mtime_ns > before[p]}
    assert changed == {tree.source / "mm/b.c"}


@needs_patch
def test_a_file_that_is_brought_back_is_newer_for_make(tree: Tree) -> None:
    path = tree.source / "mm/a.c"
    tree.apply(A)
    patched_ns = path.stat().st_mtime_ns

    tree.apply()

    assert path.stat().st_mtime_ns > patched_ns


@needs_patch
@pytest.mark.parametrize(
    "bad",
    [
        change("mm/b.c", "b3\n", "x\n").replace("-b3\n", "-other\n"),
        change("mm/b.c", "b3\n", "x\n").replace(" b1\n", " other\n"),
        change("mm/a.c", "a3\n", "x\n"),
    ],
    ids=["another line", "another context", "twice"],
)
def test_a_patch_that_does_not_apply_is_named_and_the_tree_stays(
    tree: Tree, bad: str
) -> None:
    tree.apply(A)

    with pytest.raises(BuildFailed, match=r"/1\.patch does not apply:\n.*\n.*FAILED"):
        tree.apply(A, bad)

    assert contents(tree.source) == WITH_A


@needs_patch
def test_a_patch_of_a_file_that_there_is_not_is_told_and_the_tree_stays(
    tree: Tree,
) -> None:
    tree.apply(A)

    with pytest.raises(BuildFailed, match=r"touches mm/z\.c, which .*/source lacks"):
        tree.apply(B.replace("mm/b.c", "mm/z.c"))

    assert contents(tree.source) == WITH_A
    assert tree.apply(B) == ["mm/a.c", "mm/b.c"]


@needs_patch
@pytest.mark.parametrize("call", ["shutil.copyfile", "pathlib.Path.write_bytes"])
def test_what_was_interrupted_is_made_good_by_the_next(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def interrupt(path: Path, other: Path | bytes) -> None:
        if isinstance(other, Path):
            other.write_text("half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(call, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tree.apply(A)
    tree.apply(B)

    assert contents(tree.source) == WITH_B


@needs_patch
def test_a_file_that_was_written_in_part_is_written_again(tree: Tree) -> None:
    tree.apply(A)
    (tree.source / "mm/a.c").write_text("a0\n")

    assert tree.apply(A) == ["mm/a.c"]
    assert contents(tree.source) == WITH_A


NEW = "--- /dev/null\n+++ b/mm/n/new.c\n@@ -0,0 +1,2 @@\n+n1\n+n2\n"
NEW_BY_DIFF = (
    "--- linux.orig/mm/n/new.c\t1970-01-01 00:00:00.000000000 +0000\n"
    "+++ linux/mm/n/new.c\t2026-01-01 00:00:00.000000000 +0000\n"
    "@@ -0,0 +1,2 @@\n+n1\n+n2\n"
)
NEW_BY_GIT = f"diff --git a/mm/n/new.c b/mm/n/new.c\nnew file mode 100755\n{NEW}"
NEW_EMPTY = (
    "diff --git a/mm/n/new.c b/mm/n/new.c\nnew file mode 100644\nindex 000..e69\n"
)
CHANGED = "--- a/mm/n/new.c\n+++ b/mm/n/new.c\n@@ -1,2 +1,2 @@\n n1\n-n2\n+changed\n"
GONE = "--- a/kernel/c.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-c\n"
MOVED = (
    "diff --git a/kernel/c.c b/kernel/d/moved.c\nsimilarity index 100%\n"
    "rename from kernel/c.c\nrename to kernel/d/moved.c\n"
)
# By what they do: patches, and the files that are then in the tree.
COMING_AND_GOING: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "added": ((NEW,), {**FILES, "mm/n/new.c": "n1\nn2\n"}),
    "added by diff": ((NEW_BY_DIFF,), {**FILES, "mm/n/new.c": "n1\nn2\n"}),
    "added by git": ((NEW_BY_GIT,), {**FILES, "mm/n/new.c": "n1\nn2\n"}),
    "added empty": ((NEW_EMPTY,), {**FILES, "mm/n/new.c": ""}),
    "added and changed": ((NEW, CHANGED), {**FILES, "mm/n/new.c": "n1\nchanged\n"}),
    "added beside a change": ((A, NEW), {**WITH_A, "mm/n/new.c": "n1\nn2\n"}),
    "deleted": ((GONE,), {k: v for k, v in FILES.items() if k != "kernel/c.c"}),
    "moved": (
        (MOVED,),
        {**{k: v for k, v in FILES.items() if k != "kernel/c.c"},
         "kernel/d/moved.c": "c\n"},
    ),
    "a file, where there is a folder elsewhere": (
        (NEW.replace("mm/n/new.c", "mm/n"),), {**FILES, "mm/n": "n1\nn2\n"}
    ),
    "none": ((), FILES),
    "changed": ((B,), WITH_B),
}  # fmt: skip


def folders(tree: Tree) -> set[str]:
    return {
        str(path.relative_to(tree.source))
        for path in tree.source.rglob("*")
        if path.is_dir()
    }


@pytest.mark.long
@needs_patch
@pytest.mark.parametrize("after", COMING_AND_GOING)
@pytest.mark.parametrize("before", COMING_AND_GOING)
def test_files_come_and_go_from_one_variant_to_another(
    before: str, after: str, tree: Tree
) -> None:
    for which in (before, after, before):
        patches, files = COMING_AND_GOING[which]
        tree.apply(*patches)

        assert contents(tree.source) == files
        assert tree.apply(*patches) == []

    written = tree.apply()

    assert contents(tree.source) == FILES
    assert folders(tree) == {"mm", "kernel"}
    assert bool(written) == (files != FILES)


@needs_patch
def test_a_file_that_comes_may_be_a_program(tree: Tree) -> None:
    tree.apply(NEW_BY_GIT)

    assert os.access(tree.source / "mm/n/new.c", os.X_OK)
    assert not os.access(tree.source / "mm/a.c", os.X_OK)


@needs_patch
def test_a_patch_that_adds_a_file_that_is_there_does_not_apply(tree: Tree) -> None:
    with pytest.raises(BuildFailed, match=r"/0\.patch does not apply:\n.*mm/a\.c"):
        tree.apply(NEW.replace("mm/n/new.c", "mm/a.c"))

    assert contents(tree.source) == FILES


@needs_patch
@pytest.mark.parametrize("call", ["shutil.copyfile", "pathlib.Path.write_bytes"])
def test_files_that_came_before_an_interruption_go_with_the_next(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def interrupt(path: Path, other: Path | bytes) -> None:
        (path if isinstance(other, bytes) else other).write_text("half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(call, interrupt)
        with pytest.raises(KeyboardInterrupt):
            tree.apply(NEW, A)
    tree.apply(B)

    assert contents(tree.source) == WITH_B


@pytest.mark.parametrize("path", ["../out.c", "mm/../../out.c"])
def test_a_patch_reaches_nothing_outside_of_the_tree(path: str, tree: Tree) -> None:
    (tree.folder / "out.c").write_text("b\n")

    for patch in (NEW, GONE):
        with pytest.raises(BuildFailed, match="outside"):
            tree.apply(patch.replace("mm/n/new.c", path).replace("kernel/c.c", path))

    assert (tree.folder / "out.c").read_text() == "b\n"


@pytest.fixture
def dpkg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a dpkg-query that is the only program there is prints."""
    program = tmp_path / "dpkg-query"
    program.write_text(f'#!/bin/sh\nread line < "{tmp_path}/words" && echo "$line"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "words"


def test_an_installed_package_is_found_with_its_version(
    dpkg_says: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dpkg_says.write_text("installed 0.1.7-1\n")
    monkeypatch.setattr(Path, "exists", lambda path: True)

    assert find_source("0.1") == SourcePackage(
        Path("/usr/src/linux-source-0.1.tar.xz"), "0.1.7-1"
    )


@pytest.mark.parametrize(
    "words",
    ["installed 0.1.7-1\n", "config-files 0.1.7-1\n", "not-installed \n", ""],
    ids=["no tarball", "removed", "never", "unknown"],
)
def test_a_package_that_is_not_there_is_told_with_its_command(
    dpkg_says: Path, words: str
) -> None:
    dpkg_says.write_text(words)

    with pytest.raises(EnvironmentFault, match=r"apt-get install linux-source-0\.1$"):
        find_source("0.1")


def test_without_dpkg_no_package_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EnvironmentFault, match=r"linux-source-0\.1 is not installed"):
        find_source("0.1")


# What apt-cache policy of Debian 13 prints when it is asked for linux-source-6.1,
# in short: the name is taken for a pattern.
POLICY = """\
linux-source-6.12:
  Installed: (none)
  Candidate: 6.12.118-1
  Version table:
     6.12.118-1 500
        500 http://mirror/debian-security trixie-security/main amd64 Packages
linux-source-6.13:
  Installed: (none)
  Candidate: (none)
  Version table:
"""
LISTS = """\
Package files:
 100 /var/lib/dpkg/status
     release a=now
 500 http://mirror/debian trixie/main amd64 Packages
     release v=13.8,o=Debian,a=stable,n=trixie,l=Debian,c=main,b=amd64
     origin mirror
Pinned packages:
"""


def test_what_apt_would_install_is_read_under_its_own_name() -> None:
    assert candidates(POLICY) == {"linux-source-6.12": "6.12.118-1"}
    assert candidates("") == {}


@pytest.fixture
def apt_says(dpkg_says: Path) -> Path:
    """Nothing is installed; a folder with what apt-cache says of lists and packages."""
    dpkg_says.write_text("unknown ok not-installed\n")
    program = dpkg_says.parent / "apt-cache"
    cat = shutil.which("cat", path="/usr/bin:/bin")
    program.write_text(
        "#!/bin/sh\n"
        f'[ "$LC_ALL $1" = "C.UTF-8 policy" ] || exit 100\n'
        f'case $# in 1) {cat} "$0.lists";; *) {cat} "$0.policy";; esac\n'
    )
    program.chmod(0o755)
    (dpkg_says.parent / "apt-cache.lists").write_text(LISTS)
    (dpkg_says.parent / "apt-cache.policy").write_text(POLICY)
    return dpkg_says.parent


def test_a_source_that_debian_has_is_told_with_its_command(apt_says: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"apt-get install linux-source-6\.12$"):
        find_source("6.12")


@pytest.mark.parametrize("base", ["6.1", "6.13"], ids=["a pattern", "no candidate"])
def test_a_source_that_debian_has_not_is_told_and_no_command_advised(
    apt_says: Path, base: str
) -> None:
    """apt-get install linux-source-6.1 ends well on Debian 13, with nothing done."""
    with pytest.raises(NoSuchSource, match=f"no package linux-source-{base}") as told:
        find_source(base)

    assert "apt-get install" not in str(told.value)


@pytest.mark.parametrize(
    "lists", ["Package files:\n 100 /var/lib/dpkg/status\n     release a=now\n", ""]
)
def test_an_apt_without_lists_cannot_tell_what_debian_has(
    apt_says: Path, lists: str
) -> None:
    """So before the first apt-get update, and where lists are removed to save space."""
    (apt_says / "apt-cache.lists").write_text(lists)
    (apt_says / "apt-cache.policy").write_text("")

    with pytest.raises(EnvironmentFault, match=r"apt-get install linux-source-6\.1$"):
        find_source("6.1")


@pytest.mark.parametrize("arguments", [1, 2], ids=["lists", "a package"])
def test_an_apt_that_fails_cannot_tell_what_debian_has(
    apt_says: Path, arguments: int
) -> None:
    program = apt_says / "apt-cache"
    failing = f"#!/bin/sh\n[ $# = {arguments} ] && exit 100\n"
    program.write_text(program.read_text().replace("#!/bin/sh\n", failing))

    with pytest.raises(EnvironmentFault, match=r"apt-get install linux-source-6\.1$"):
        find_source("6.1")
