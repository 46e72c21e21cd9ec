"""Builds the kernel's own selftest of names from the kernel's sources.

tools/testing/selftests/prctl/set-anon-vma-name-test.c is in Linux since 6.4. The
kernel's Makefile builds it on x86 only, but it does not depend on x86, so it is built
here for every machine. It is linked statically, so that guests need no C library.

Three files are taken from Debian's package, or from its unpacked copy. They are not
taken from a tree in which kernels are built, because another build may be changing it.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.arch import Arch
from harness.errors import BuildFailed
from harness.host.locks import exclusive
from harness.host.paths import cache_dir
from harness.host.programs import run_logged, tail_of
from harness.kbuild.source import SourcePackage, find_source
from harness.kbuild.toolchain import check_static_libc, compiler_of, compiler_version
from harness.kbuild.unpacking import take_files
from harness.kbuild.variant import base_names

SELFTEST = "set-anon-vma-name-test"

_FOLDER = "tools/testing/selftests"
_FILES = (
    f"{_FOLDER}/prctl/{SELFTEST}.c",
    f"{_FOLDER}/kselftest_harness.h",
    f"{_FOLDER}/kselftest.h",
)
# The first version that has the test.
_SINCE = (6, 4)
# The flags of tools/testing/selftests/lib.mk that this test needs.
_FLAGS = ("-D_GNU_SOURCE=", "-static")
_DEADLINE_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltSelftest:
    """The test as a program for a machine, and the version of its source."""

    program: Path
    base: str
    source_version: str


def build_selftest(
    base: str, arch: Arch, *, on_step: Callable[[str], None]
) -> BuiltSelftest:
    """The test of a base, or of the newest base if this one has no test; cached.

    ``on_step`` gets each step. Raises EnvironmentFault if the source, the compiler or
    the static C library is missing, BuildFailed if the sources lack the test or it
    does not compile.
    """
    base = _base_with_test(base)
    package = find_source(base)
    key = hashlib.sha256(
        "\0".join((package.version, compiler_version(arch), *_FLAGS)).encode()
    ).hexdigest()[:12]
    room = cache_dir() / "kselftest"
    room.mkdir(parents=True, exist_ok=True)
    program = room / f"{SELFTEST}-{base}-{compiler_of(arch)}-{key}"
    if not program.exists():
        check_static_libc(arch)
        with exclusive(room / "lock"):
            if not program.exists():
                for stale in room.glob("making-*"):
                    shutil.rmtree(stale)
                _build(package, arch, program, on_step)
    return BuiltSelftest(program=program, base=base, source_version=package.version)


def _base_with_test(base: str) -> str:
    version = tuple(int(part) for part in base.split("."))
    return base if version >= _SINCE else base_names()[-1]


def _build(
    package: SourcePackage, arch: Arch, program: Path, on_step: Callable[[str], None]
) -> None:
    log = program.parent / f"{program.name}.log"
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent, prefix="making-") as scratch:
        source = _unpacked(package, program.parent, Path(scratch), log, on_step)
        on_step(f"building {SELFTEST} with {compiler_of(arch)}")
        made = Path(scratch) / "program"
        status = run_logged(
            [
                compiler_of(arch), *_FLAGS,
                # Its output must not depend on the folder in which it was built.
                f"-fmacro-prefix-map={source}/=",
                f"{source}/{_FILES[0]}", "-o", str(made),
            ],
            log,
            deadline_s=_DEADLINE_S,
        )  # fmt: skip
        if status != 0:
            raise BuildFailed(
                f"{SELFTEST} could not be built for {arch.name}; the whole log is "
                f"{log}, its end:\n{tail_of(log)}"
            )
        made.rename(program)


def _unpacked(
    package: SourcePackage,
    room: Path,
    scratch: Path,
    log: Path,
    on_step: Callable[[str], None],
) -> Path:
    tree = room / f"source-{package.version}"
    if tree.exists():
        return tree
    on_step(f"unpacking {SELFTEST} from {package.tarball}")
    made = scratch / "source"
    made.mkdir()
    take_files(package, _FILES, made, log)
    made.rename(tree)
    return tree
