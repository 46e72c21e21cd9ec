"""The compilers on this machine: the native one, and those for other machines."""

import subprocess
from pathlib import Path

from harness.arch import Arch
from harness.errors import EnvironmentFault


def compiler_of(arch: Arch) -> str:
    """The name of the compiler for a machine."""
    return f"{arch.cross_compile}gcc"


def compiler_version(arch: Arch) -> str:
    """The compiler's version line. Raises EnvironmentFault if there is no compiler."""
    return _output(arch, "--version").splitlines()[0]


def header_path(name: str) -> Path:
    """The path of a header on this machine; it may not exist."""
    return Path("/usr/include") / name


def check_headers(arch: Arch) -> None:
    """Raise EnvironmentFault if a header is missing that the kernel's tools need."""
    for name, package in arch.headers:
        if not header_path(name).exists():
            raise EnvironmentFault(
                f"{header_path(name)} is missing, but building a kernel for "
                f"{arch.name} needs it; as root: apt-get install {package}"
            )


def check_static_libc(arch: Arch) -> None:
    """Raise EnvironmentFault if programs cannot be linked statically."""
    # gcc prints the whole path if it finds the file, and otherwise only the name.
    if "/" not in _output(arch, "-print-file-name=libc.a"):
        raise EnvironmentFault(
            f"{compiler_of(arch)} has no static C library; "
            f"as root: apt-get install {arch.libc_package}"
        )


def _output(arch: Arch, option: str) -> str:
    program = compiler_of(arch)
    try:
        return subprocess.run(
            [program, option], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except FileNotFoundError:
        raise EnvironmentFault(
            f"{program} is missing; as root: apt-get install {arch.build_package}"
        ) from None
