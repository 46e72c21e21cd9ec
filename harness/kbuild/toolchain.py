"""The compilers of this machine: its own, and those for others."""

import subprocess
from pathlib import Path

from harness.arch import Arch
from harness.errors import EnvironmentFault


def compiler_of(arch: Arch) -> str:
    """The program that compiles for a machine here."""
    return f"{arch.cross_compile}gcc"


def compiler_version(arch: Arch) -> str:
    """What that compiler says it is; EnvironmentFault where there is none."""
    return _ask(arch, "--version").splitlines()[0]


def header_path(name: str) -> Path:
    """Where a header of this machine's is, or would be."""
    return Path("/usr/include") / name


def check_headers(arch: Arch) -> None:
    """Raise EnvironmentFault where the kernel's own tools could not be compiled."""
    for name, package in arch.headers:
        if not header_path(name).exists():
            raise EnvironmentFault(
                f"there is no {header_path(name)}, which a kernel for {arch.name} is "
                f"built with; as root: apt-get install {package}"
            )


def check_static_libc(arch: Arch) -> None:
    """Raise EnvironmentFault where programs cannot be linked with all they need."""
    # The whole path of a file that it finds, and otherwise the name alone.
    if "/" not in _ask(arch, "-print-file-name=libc.a"):
        raise EnvironmentFault(
            f"{compiler_of(arch)} has no static C library; "
            f"as root: apt-get install {arch.libc_package}"
        )


def _ask(arch: Arch, option: str) -> str:
    program = compiler_of(arch)
    try:
        return subprocess.run(
            [program, option], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except FileNotFoundError:
        raise EnvironmentFault(
            f"there is no {program}; as root: apt-get install {arch.build_package}"
        ) from None
