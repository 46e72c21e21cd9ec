"""The C programs of tests/reference, built statically, as guests are bare."""

import subprocess
from pathlib import Path

from harness.arch import Arch
from harness.errors import BuildFailed
from harness.kbuild.toolchain import check_static_libc, compiler_of

_REFERENCE = Path(__file__).parents[1] / "reference"
_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-static")


def built(name: str, arch: Arch, folder: Path) -> bytes:
    """A program, as the bytes of its file.

    Raises EnvironmentFault without a compiler or a static C library, BuildFailed
    when it does not compile.
    """
    check_static_libc(arch)
    made = folder / f"{name}-{arch.name}"
    done = subprocess.run(
        [compiler_of(arch), *_FLAGS, str(_REFERENCE / f"{name}.c"), "-o", str(made)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise BuildFailed(f"{name}.c does not compile: {done.stderr}")
    return made.read_bytes()
