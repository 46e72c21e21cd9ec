"""Building, with make told by a tree of three files what Linux's would do."""

import io
import itertools
import multiprocessing
import re
import shutil
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.arch import arch_named
from harness.errors import BuildFailed, EnvironmentFault
from harness.host.programs import run_logged
from harness.kbuild import BuiltKernel, Variant, build, build_kernel, variant
from harness.kbuild.source import SourcePackage
from harness.linux import config_digest
from harness.workload import Store
from tests.host.test_programs import ends

pytestmark = pytest.mark.skipif(
    None in (shutil.which("make"), shutil.which("patch")),
    reason="there is no make or no patch(1) here",
)

ARM64 = arch_named("aarch64")
ONE = Variant(
    name="one",
    description="",
    config=("base",),
    patches=("one.patch",),
    stores=(Store.REFCOUNTED,),
)
PLAIN = replace(ONE, name="plain", patches=())

# What make is told by FAKE, a folder: calls is written, and env; dropped are options
# that Kconfig loses; while hold exists, make waits; where broken exists, it fails;
# where killed exists, it is killed while an object is written; where more exists, the
# files of more/ are in the object too.
MAKEFILE = r"""
allnoconfig:
	@echo $@ >> $(FAKE)/calls
	@grep -vxFf $(FAKE)/dropped $$KCONFIG_ALLCONFIG > $$KCONFIG_CONFIG
Image: $(O)/a.o
	@echo $@ >> $(FAKE)/calls
	@mkdir -p $(O)/arch/$(ARCH)/boot
	@cat $(O)/.config $(O)/a.o > $(O)/arch/$(ARCH)/boot/$@
	@touch $(O)/System.map
$(O)/a.o: a.c
	@echo "  CC      a.o"
	@touch $(FAKE)/compiling
	@while [ -e $(FAKE)/hold ]; do sleep 0.01; done
	@env > $(FAKE)/env
	@if [ -e $(FAKE)/killed ]; then echo half > $@; kill -9 $$PPID; sleep 60; fi
	@if [ -e $(FAKE)/broken ]; then echo "a.c: it is broken"; exit 1; fi
	@cat a.c $(if $(wildcard $(FAKE)/more), $(wildcard more/*.c)) > $@
"""
PATCH = "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-stock\n+%s\n"
CONFIG = "CONFIG_BASE=y\n# CONFIG_OFF is not set\nCONFIG_ARM=y\n"


@dataclass(frozen=True, slots=True)
class Bench:
    """Folders in place of everything that a build reads and keeps."""

    fake: Path
    kernels: Path
    cache: Path

    def calls(self) -> list[str]:
        """What make was asked for, in order."""
        path = self.fake / "calls"
        return path.read_text().split() if path.exists() else []

    def build(self, which: Variant = ONE) -> tuple[BuiltKernel, list[str]]:
        """The kernel and what was said while it was built."""
        steps: list[str] = []
        return build_kernel(which, "9.9", ARM64, on_step=steps.append), steps

    def write_patch(self, content: str) -> None:
        (self.kernels / "patches/9.9/one.patch").write_text(PATCH % content)


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    tools, kernels, fake = tmp_path / "bin", tmp_path / "kernels", tmp_path / "fake"
    gcc = f"{ARM64.cross_compile}gcc"
    for tool in (gcc, "flex", "bison", "bc"):
        write(tools / tool, f"#!/bin/sh\necho {tool} 1.2\n", mode=0o755)
    for tool in ("make", "patch", "tar", "sh"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.delenv("MAKEFLAGS", raising=False)

    write(kernels / "config/base.config", "CONFIG_BASE=y\n# CONFIG_OFF is not set\n")
    write(kernels / "config/arm64.config", "CONFIG_ARM=y\n")
    write(kernels / "patches/9.9/one.patch", PATCH % "patched")
    for module in (build, variant):
        monkeypatch.setattr(module, "kernels_dir", lambda: kernels)

    tarball = tmp_path / "linux.tar"
    with tarfile.open(tarball, "w") as tar:
        makefile = f"FAKE = {fake}\n{MAKEFILE}"
        for name, text in (
            ("Makefile", makefile),
            ("a.c", "stock\n"),
            ("more/d.c", "d\n"),
        ):
            member = tarfile.TarInfo(f"linux-source-9.9/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    package = SourcePackage(tarball, "9.9.1-1")
    monkeypatch.setattr(build, "find_source", lambda base: package)

    write(fake / "dropped", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Bench(fake, kernels, tmp_path / "cache/anon-vma-harness")


def test_a_kernel_is_built_from_its_patches_and_options(bench: Bench) -> None:
    kernel, steps = bench.build()

    assert kernel == BuiltKernel(
        image=kernel.image,
        variant=ONE,
        base="9.9",
        arch=ARM64,
        source_version="9.9.1-1",
        config_sha256=config_digest(CONFIG),
    )
    assert kernel.image.read_text() == CONFIG + "patched\n"
    assert (kernel.image.parent / "config").read_text() == CONFIG
    assert bench.calls() == ["allnoconfig", "Image"]
    assert steps[:-1] == [
        "unpacking linux 9.9.1-1",
        "configuring one-9.9-aarch64, 1 source files changed",
        "building one-9.9-aarch64: 1 objects, a.o",
    ]
    assert steps[-1].startswith("built one-9.9-aarch64: 1 objects in ")


def test_a_kernel_that_was_built_is_found_without_make(bench: Bench) -> None:
    first, _ = bench.build()

    second, steps = bench.build()

    assert second == first
    assert steps == []
    assert bench.calls() == ["allnoconfig", "Image"]


def test_a_base_s_first_kernel_may_have_no_patches(bench: Bench) -> None:
    kernel, _ = bench.build(PLAIN)

    assert kernel.image.read_text() == CONFIG + "stock\n"


def test_variants_of_a_base_are_built_in_one_tree(bench: Bench) -> None:
    one, _ = bench.build(ONE)
    plain, steps = bench.build(PLAIN)

    assert one.image.read_text() == CONFIG + "patched\n"
    assert plain.image.read_text() == CONFIG + "stock\n"
    assert steps[0] == "configuring plain-9.9-aarch64, 1 source files changed"


ADDS = "--- /dev/null\n+++ b/more/b.c\n@@ -0,0 +1 @@\n+added\n"
DELETES = "--- a/more/d.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-d\n"


@pytest.mark.long
def test_a_variant_may_add_a_file_and_delete_one_and_leaves_no_trace(
    bench: Bench,
) -> None:
    write(bench.fake / "more", "")
    patches = {"adds": ADDS, "deletes": DELETES, "both": ADDS + DELETES}
    for name, text in patches.items():
        write(bench.kernels / f"patches/9.9/{name}.patch", PATCH % name + text)
    contents = {
        "adds": "adds\nadded\nd\n", "deletes": "deletes\n", "both": "both\nadded\n",
        "plain": "stock\nd\n",
    }  # fmt: skip
    # Each after each other one, in the one tree that is kept.
    order = [
        "plain", "adds", "plain", "deletes", "plain", "both", "adds", "deletes", "adds",
        "both", "deletes", "both", "plain",
    ]  # fmt: skip
    assert {*itertools.pairwise(order)} == {*itertools.permutations(contents, 2)}

    for name in order:
        shutil.rmtree(bench.cache / "kernels", ignore_errors=True)
        named = replace(ONE, name=name, patches=(f"{name}.patch",))
        kernel, _ = bench.build(PLAIN if name == "plain" else named)

        assert kernel.image.read_text() == CONFIG + contents[name]


@pytest.mark.slow
def test_a_changed_patch_is_built_in_the_same_tree(bench: Bench) -> None:
    first, _ = bench.build()
    bench.write_patch("changed")

    second, steps = bench.build()

    assert second.image != first.image
    assert second.image.read_text() == CONFIG + "changed\n"
    assert first.image.read_text() == CONFIG + "patched\n"
    assert not [step for step in steps if step.startswith("unpacking")]


def test_a_changed_option_is_built_and_compiles_what_it_reaches(bench: Bench) -> None:
    first, _ = bench.build()
    (bench.kernels / "config/arm64.config").write_text("CONFIG_ARM=n\n")

    second, steps = bench.build()

    changed = CONFIG.replace("CONFIG_ARM=y", "# CONFIG_ARM is not set")
    assert second.image.read_text() == changed + "patched\n"
    assert second.config_sha256 == config_digest(changed) != first.config_sha256
    assert steps[-1].startswith("built one-9.9-aarch64: 0 objects")


def test_another_compiler_makes_another_kernel(bench: Bench) -> None:
    first, _ = bench.build()
    gcc = bench.fake.parent / f"bin/{ARM64.cross_compile}gcc"
    gcc.write_text(gcc.read_text().replace("1.2", "1.3"))

    second, _ = bench.build()

    assert second.image != first.image


@pytest.mark.slow
def test_another_version_of_the_source_takes_the_place_of_the_old(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.build()
    newer = SourcePackage(bench.fake.parent / "linux.tar", "9.9.2-1")
    monkeypatch.setattr(build, "find_source", lambda base: newer)

    kernel, steps = bench.build()

    assert kernel.source_version == "9.9.2-1"
    assert steps[0] == "unpacking linux 9.9.2-1"
    room = bench.cache / "build/linux-9.9-arm64"
    assert [path.name for path in room.iterdir() if path.is_dir()] == ["9.9.2-1"]


def test_an_option_that_kconfig_loses_is_named_and_nothing_is_built(
    bench: Bench,
) -> None:
    (bench.fake / "dropped").write_text("CONFIG_ARM=y\n")

    with pytest.raises(BuildFailed, match=r"CONFIG_ARM=y \(it became n\)$"):
        bench.build()

    assert bench.calls() == ["allnoconfig"]
    assert list((bench.cache / "kernels").iterdir()) == []


def test_a_make_that_fails_is_told_with_the_end_of_its_log(bench: Bench) -> None:
    (bench.fake / "broken").touch()

    with pytest.raises(BuildFailed, match=r"ended with status 2; .*/one\.log") as told:
        bench.build()

    assert "\na.c: it is broken\nmake: ***" in str(told.value)
    assert list((bench.cache / "kernels").iterdir()) == []


HOSTILE = {
    "MAKEFLAGS": "n -j --jobserver-auth=98,99", "MFLAGS": "-n", "MAKELEVEL": "1",
    "KCFLAGS": "-O0", "KAFLAGS": "-g", "KBUILD_CFLAGS_KERNEL": "-O0", "CC": "clang",
    "LLVM": "1", "LLVM_IAS": "0", "ARCH": "sparc", "KCONFIG_SEED": "1",
    "LOCALVERSION": "-x", "CPATH": "/x", "SOURCE_DATE_EPOCH": "1", "O": "/x",
    "GCC_EXEC_PREFIX": "/x", "INSTALL_MOD_STRIP": "1", "W": "1", "V": "1",
}  # fmt: skip


def environment_of_make(bench: Bench) -> list[str]:
    """What make's own commands had; each make has another job server, since 4.4."""
    told = (bench.fake / "env").read_text()
    return re.sub(r"--jobserver-auth=\S+", "--jobserver-auth=X", told).splitlines()


def test_nothing_of_an_environment_that_makes_another_kernel_reaches_make(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what a make that we run under has to say."""
    bench.build()
    plain = environment_of_make(bench)
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    bench.write_patch("changed")

    bench.build()

    hostile = environment_of_make(bench)
    apart = [x for x in {*plain} ^ {*hostile} if not x.startswith(("TMPDIR=", "_="))]
    assert apart == []
    names = {line.partition("=")[0] for line in hostile}
    assert {"PATH", "HOME", "TMPDIR"} <= names


def test_what_failed_is_built_once_it_is_mended(bench: Bench) -> None:
    (bench.fake / "broken").touch()
    with pytest.raises(BuildFailed):
        bench.build()
    (bench.fake / "broken").unlink()

    kernel, _ = bench.build()

    assert kernel.image.read_text() == CONFIG + "patched\n"


def test_a_patch_that_does_not_apply_is_named_and_make_is_not_run(
    bench: Bench,
) -> None:
    patch = bench.kernels / "patches/9.9/one.patch"
    patch.write_text(patch.read_text().replace("-stock", "-other"))

    with pytest.raises(BuildFailed, match=r"patches/9\.9/one\.patch does not apply"):
        bench.build()

    assert bench.calls() == []


@pytest.mark.parametrize(
    ("tool", "package"),
    [
        (f"{ARM64.cross_compile}gcc", ARM64.build_package),
        ("flex", "flex"),
        ("make", "make"),
    ],
)
def test_a_tool_that_is_missing_is_named_with_its_package(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tool: str, package: str
) -> None:
    tools = bench.fake.parent / "bin"
    (tools / tool).unlink()
    monkeypatch.setenv("PATH", str(tools))

    with pytest.raises(EnvironmentFault) as raised:
        bench.build()

    assert str(raised.value) == (
        f"{tool} is missing; as root: apt-get install {package}"
    )


@pytest.fixture
def builder(bench: Bench) -> Iterator[multiprocessing.process.BaseProcess]:
    """Another process that builds, until it is held in the midst of compiling."""
    (bench.fake / "hold").touch()
    process = multiprocessing.get_context("fork").Process(target=bench.build)
    process.start()
    end = time.monotonic() + 60
    while not (bench.fake / "compiling").exists():
        assert process.is_alive(), "the build ended before it compiled"
        assert time.monotonic() < end, "the build does not begin to compile"
        time.sleep(0.005)
    yield process
    process.kill()
    process.join()


@pytest.fixture
def killed(bench: Bench, builder: multiprocessing.process.BaseProcess) -> Path:
    """The objects of a build that was killed in the midst of compiling."""
    started = psutil.Process(builder.pid).children(recursive=True)
    builder.kill()
    builder.join()
    assert started
    assert all(ends(process.pid) for process in started)
    (bench.fake / "hold").unlink()
    (output,) = bench.cache.glob("build/*/*/output")
    return output


def test_of_two_builds_at_once_one_runs_make_and_both_have_the_image(
    bench: Bench, builder: multiprocessing.process.BaseProcess
) -> None:
    steps: list[str] = []

    def let_it_go_on(step: str) -> None:
        steps.append(step)
        (bench.fake / "hold").unlink()

    kernel = build_kernel(ONE, "9.9", ARM64, on_step=let_it_go_on)
    builder.join()

    assert steps == ["waiting for another build of linux 9.9 for aarch64"]
    assert builder.exitcode == 0
    assert bench.calls() == ["allnoconfig", "Image"]
    assert kernel.image.read_text() == CONFIG + "patched\n"


def test_after_a_build_was_killed_the_next_one_works(
    bench: Bench, killed: Path
) -> None:
    kernel, _ = bench.build()

    assert kernel.image.read_text() == CONFIG + "patched\n"


def test_an_object_that_a_killed_build_left_half_made_is_made_again(
    bench: Bench, killed: Path
) -> None:
    (killed / "a.o").write_text("half of it")

    kernel, _ = bench.build()

    assert kernel.image.read_text() == CONFIG + "patched\n"


@pytest.mark.slow
def test_an_object_is_made_again_that_was_half_made_when_make_alone_was_killed(
    bench: Bench,
) -> None:
    """As the kernel does where memory is short; compilers go down with it."""
    (bench.fake / "killed").touch()
    with pytest.raises(BuildFailed, match="ended with status 137"):
        bench.build()
    (bench.fake / "killed").unlink()
    (output,) = bench.cache.glob("build/*/*/output")
    assert (output / "a.o").read_text() == "half\n"

    kernel, _ = bench.build()

    assert kernel.image.read_text() == CONFIG + "patched\n"


@pytest.mark.long
@pytest.mark.parametrize(
    ("status", "again"),
    [(2, False), (127, False), (None, True), (137, True), (143, True), (-9, True)],
)
def test_objects_are_doubted_where_make_did_not_end_by_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, status: int | None, again: bool
) -> None:
    with monkeypatch.context() as patched:

        def run_other(argv: Sequence[str], log: Path, **more: Any) -> int | None:
            done = run_logged(argv, log, **more)
            return done if "allnoconfig" in argv else status

        patched.setattr(build, "run_logged", run_other)
        with pytest.raises(BuildFailed):
            bench.build()

    _, steps = bench.build()

    assert ("building one-9.9-aarch64: 1 objects, a.o" in steps) == again


def test_what_a_killed_build_left_in_the_cache_is_removed(bench: Bench) -> None:
    trees = bench.cache / "build/linux-9.9-arm64/9.9.1-1"
    write(trees / "making-x/kernel/image", "half of it")

    bench.build()

    assert {path.name for path in trees.iterdir()} == {"linked", "output", "pristine"}
