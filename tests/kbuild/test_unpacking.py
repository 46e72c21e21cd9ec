"""A package is unpacked once, and its trees are apart though they share files."""

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from harness.errors import BuildFailed
from harness.kbuild.source import SourcePackage, apply_patches
from harness.kbuild.unpacking import take_files, unpack_source

FILES = {"Makefile": "all:\n", "mm/a.c": "a\n", "scripts/run.sh": "true\n"}
CHANGED = "--- a/mm/a.c\n+++ b/mm/a.c\n@@ -1 +1 @@\n-a\n+patched\n"
ADDED = "--- /dev/null\n+++ b/mm/b.c\n@@ -0,0 +1 @@\n+b\n"
GONE = "--- a/mm/a.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


class Cache:
    """Where sources are unpacked, a package, and trees of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sources = folder / "cache/anon-vma-harness/sources"
        self.package = self.pack("0.1-1", FILES)
        self.steps: list[str] = []

    def pack(self, version: str, files: dict[str, str]) -> SourcePackage:
        path = self.folder / "linux-source-0.1.tar"
        with tarfile.open(path, "w") as tar:
            for name, text in files.items():
                member = tarfile.TarInfo(f"linux-source-0.1/{name}")
                member.size = len(text)
                member.mode = 0o755 if name.endswith(".sh") else 0o644
                tar.addfile(member, io.BytesIO(text.encode()))
        return SourcePackage(path, version)

    def tree(self, name: str) -> Path:
        """A tree for one machine, in a room of its own."""
        tree = self.folder / name / "source"
        tree.parent.mkdir(exist_ok=True)
        log = self.folder / "log"
        unpack_source(self.package, tree, log, on_step=self.steps.append)
        return tree


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Cache(tmp_path)


def test_a_package_is_unpacked_once_for_all_of_its_trees(cache: Cache) -> None:
    one = cache.tree("one")
    cache.package.tarball.unlink()
    two = cache.tree("two")

    assert cache.steps == ["unpacking linux 0.1-1"]
    assert contents(one) == contents(two) == FILES
    assert all((one / name).samefile(two / name) for name in FILES)
    assert os.access(two / "scripts/run.sh", os.X_OK)
    assert [path.name for path in one.parent.iterdir()] == ["source"]
    assert cache.tree("one") == one


@pytest.mark.skipif(shutil.which("patch") is None, reason="there is no patch(1) here")
@pytest.mark.parametrize("patch", [CHANGED, ADDED, GONE])
def test_what_is_patched_in_one_tree_stays_as_it_is_in_all_others(
    cache: Cache, patch: str
) -> None:
    one, two = cache.tree("one"), cache.tree("two")
    path = cache.folder / "1.patch"
    path.write_text(patch)

    for patches in ([path], [], [path]):
        apply_patches(one, one.with_name("pristine"), patches)

        assert (contents(one) == FILES) == (patches == [])
        assert contents(two) == contents(cache.tree("three")) == FILES
        three = cache.folder / "three"
        shutil.rmtree(three)


def test_a_package_that_is_broken_leaves_no_tree(cache: Cache) -> None:
    cache.package.tarball.write_text("no archive")

    with pytest.raises(
        BuildFailed, match=r"1\.tar could not be unpacked; .*\n.*\ntar: "
    ):
        cache.tree("one")

    assert list((cache.folder / "one").iterdir()) == []
    assert [path.name for path in cache.sources.iterdir()] == ["lock"]


def test_what_a_killed_harness_and_other_versions_left_is_removed(
    cache: Cache,
) -> None:
    cache.tree("one")
    (cache.sources / "making-x").mkdir()
    (cache.sources / "linux-source-7.7_1").mkdir()
    cache.package = cache.pack("0.1-2", {**FILES, "mm/a.c": "newer\n"})

    two = cache.tree("two")

    assert contents(two)["mm/a.c"] == "newer\n"
    assert contents(cache.folder / "one/source") == FILES
    # Another base is none of its business.
    assert sorted(path.name for path in cache.sources.iterdir()) == [
        "linux-source-0.1_0.1-2", "linux-source-7.7_1", "lock"
    ]  # fmt: skip


def test_where_files_cannot_have_two_names_they_are_copied(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("cp")
    fake = cache.folder / "bin/cp"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\ncase "$*" in *--link*) echo "not permitted"; exit 1;; esac\n'
        f'exec {real} "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")

    one = cache.tree("one")

    assert contents(one) == FILES
    assert (one / "Makefile").stat().st_nlink == 1


@pytest.mark.parametrize("before", [True, False])
def test_single_files_are_those_of_the_package(cache: Cache, before: bool) -> None:
    if before:
        cache.tree("one")
        cache.package.tarball.unlink()
    taken = cache.folder / "taken"
    taken.mkdir()

    take_files(cache.package, ["mm/a.c"], taken, cache.folder / "log")

    assert contents(taken) == {"mm/a.c": "a\n"}


def test_a_file_that_a_package_lacks_is_told(cache: Cache) -> None:
    cache.tree("one")

    with pytest.raises(BuildFailed, match=r"mm/none\.c: Not found"):
        take_files(cache.package, ["mm/none.c"], cache.folder, cache.folder / "log")
