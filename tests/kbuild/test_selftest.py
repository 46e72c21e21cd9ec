"""Building the selftest, from a tarball of three files, with a real compiler."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.arch import arch_named
from harness.errors import BuildFailed, EnvironmentFault
from harness.kbuild import (
    SELFTEST,
    BuiltSelftest,
    build_selftest,
    check_static_libc,
    selftest,
)
from harness.kbuild.source import SourcePackage

UM = arch_named("um")
FOLDER = "tools/testing/selftests"
TEST = f"{FOLDER}/prctl/{SELFTEST}.c"
# What the real one includes, and where it says it is.
PROGRAM = '#include <stdio.h>\n#include "../kselftest_harness.h"\n' + (
    "int main(void) { puts(WORDS); puts(__FILE__); return 0; }\n"
)
FILES = {
    TEST: PROGRAM,
    f"{FOLDER}/kselftest_harness.h": '#include "kselftest.h"\n',
    f"{FOLDER}/kselftest.h": '#define WORDS "it runs"\n',
    "Makefile": "not needed\n",
}

Sources = Callable[..., None]


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    """A function that installs the source of every base: files and a version."""
    for program in ("gcc", "xz"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} here")
    try:
        check_static_libc(UM)
    except EnvironmentFault as fault:
        pytest.skip(str(fault))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def install(files: dict[str, str] = FILES, version: str = "9.9-1") -> None:
        def find(base: str) -> SourcePackage:
            tarball = tmp_path / f"linux-source-{base}.tar.xz"
            with tarfile.open(tarball, "w:xz") as tar:
                for name, text in files.items():
                    member = tarfile.TarInfo(f"linux-source-{base}/{name}")
                    member.size = len(text)
                    tar.addfile(member, io.BytesIO(text.encode()))
            return SourcePackage(tarball, version)

        monkeypatch.setattr(selftest, "find_source", find)

    install()
    return install


def build(base: str = "6.12") -> tuple[BuiltSelftest, list[str]]:
    """The test, and how much was said while it was built."""
    steps: list[str] = []
    return build_selftest(base, UM, on_step=steps.append), steps


def cached(tmp_path: Path) -> list[str]:
    room = tmp_path / "cache/anon-vma-harness/kselftest"
    return sorted(path.name for path in room.iterdir() if path.name != "lock")


def test_it_is_a_static_program_that_says_nothing_of_where_it_was_built(
    sources: Sources,
) -> None:
    built, steps = build()

    done = subprocess.run([built.program], capture_output=True, text=True, check=True)
    assert done.stdout == f"it runs\n{TEST}\n"
    assert (built.base, built.source_version) == ("6.12", "9.9-1")
    assert [step.partition(" ")[0] for step in steps] == ["unpacking", "building"]
    # A program with an interpreter would need a C library in the guest.
    assert b"ld-linux" not in built.program.read_bytes()[:4096]


def test_it_is_built_once_and_again_for_another_version(sources: Sources) -> None:
    first, _ = build()
    sources(version="9.9-2")

    other, steps = build()

    assert other.program != first.program
    assert len(steps) == 2
    sources()
    assert build() == (first, [])


def test_a_base_that_lacks_it_takes_that_of_the_newest(sources: Sources) -> None:
    newest, _ = build("6.12")

    assert build("6.1") == (newest, [])


def test_what_is_left_of_a_killed_build_goes(sources: Sources, tmp_path: Path) -> None:
    stale = tmp_path / "cache/anon-vma-harness/kselftest/making-x"
    stale.mkdir(parents=True)
    (stale / "half").write_text("made")

    build()

    assert not any(name.startswith("making-") for name in cached(tmp_path))


def test_a_source_that_does_not_compile_leaves_no_program(
    sources: Sources, tmp_path: Path
) -> None:
    sources({**FILES, TEST: "broken\n"})

    with pytest.raises(
        BuildFailed, match=rf"(?s)could not be built for um; .*{SELFTEST}\.c"
    ):
        build()

    names = cached(tmp_path)
    assert [name for name in names if name.startswith(SELFTEST)] == [
        name for name in names if name.endswith(".log")
    ]


def test_a_source_without_the_test_is_told_and_not_kept(
    sources: Sources, tmp_path: Path
) -> None:
    sources({name: text for name, text in FILES.items() if name != TEST})

    with pytest.raises(
        BuildFailed, match=r"(?s)set-anon-vma.*could not be unpacked.*Not found in"
    ):
        build()

    assert not any(name.startswith("source-") for name in cached(tmp_path))


def test_a_source_that_is_not_installed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(base: str) -> SourcePackage:
        raise EnvironmentFault(f"as root: apt-get install linux-source-{base}")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(selftest, "find_source", refuse)

    with pytest.raises(EnvironmentFault, match=r"linux-source-6\.12$"):
        build("6.1")
