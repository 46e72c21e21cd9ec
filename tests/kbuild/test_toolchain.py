from pathlib import Path

import pytest

from harness.arch import ARCHES, Arch, arch_named
from harness.errors import EnvironmentFault
from harness.kbuild import toolchain
from harness.kbuild.toolchain import (
    check_headers,
    check_static_libc,
    compiler_of,
    compiler_version,
)


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Arch:
    """A machine that is not this one, and an empty folder of programs."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(tmp_path))
    return arch_named("aarch64")


def install(folder: Path, said: str) -> None:
    """A compiler that says one thing."""
    program = folder / "aarch64-linux-gnu-gcc"
    program.write_text(f"#!/bin/sh\necho '{said}'\necho more\n")
    program.chmod(0o755)


def test_another_machine_s_compiler_has_its_prefix(foreign: Arch) -> None:
    assert compiler_of(foreign) == "aarch64-linux-gnu-gcc"
    assert compiler_of(arch_named("um")) == "gcc"
    assert compiler_of(arch_named("x86_64")) == "gcc"


def test_a_compiler_is_its_first_line(foreign: Arch, tmp_path: Path) -> None:
    install(tmp_path, "gcc (Debian) 12.2.0")

    assert compiler_version(foreign) == "gcc (Debian) 12.2.0"


def test_a_compiler_that_is_missing_is_told_with_its_package(foreign: Arch) -> None:
    with pytest.raises(EnvironmentFault, match=r"install gcc-aarch64-linux-gnu$"):
        compiler_version(foreign)


def test_a_libc_that_is_missing_is_told_with_its_package(
    foreign: Arch, tmp_path: Path
) -> None:
    """A compiler without one prints the name that it was asked for."""
    install(tmp_path, "libc.a")
    with pytest.raises(EnvironmentFault, match=r"install libc6-dev-arm64-cross$"):
        check_static_libc(foreign)

    install(tmp_path, "/usr/aarch64-linux-gnu/lib/libc.a")
    check_static_libc(foreign)


@pytest.mark.parametrize("name", ARCHES)
def test_a_header_that_is_missing_is_told_with_its_package(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arch = arch_named(name)
    monkeypatch.setattr(toolchain, "header_path", lambda header: tmp_path / header)
    for header, package in arch.headers:
        with pytest.raises(EnvironmentFault, match=rf"install {package}$"):
            check_headers(arch)
        (tmp_path / header).parent.mkdir(exist_ok=True)
        (tmp_path / header).touch()

    check_headers(arch)


@pytest.mark.parametrize("name", ARCHES)
def test_make_setup_installs_what_a_machine_s_kernels_take(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    installed = makefile.partition("PACKAGES := ")[2].partition("\n\n")[0].split()
    arch = arch_named(name)

    needed = {arch.build_package, arch.libc_package, *dict(arch.headers).values()}
    if arch.qemu_package:
        needed.add(arch.qemu_package)
    assert needed <= set(installed)


def test_this_machine_s_own_libc_is_no_cross_package() -> None:
    assert arch_named("um").libc_package == "libc6-dev"
