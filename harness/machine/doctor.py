"""Checks what this machine can run, and finds the commands that install the rest."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from harness.arch import Arch
from harness.errors import EnvironmentFault, NoSuchSource
from harness.host.paths import cache_dir
from harness.kbuild import base_names, check_static_libc, find_source
from harness.kbuild.toolchain import header_path
from harness.linux import probe_anon_name, read_sysctl

# Enough for a source tree, its objects, a root and the kernels.
_DISK_GIB = 6
_MEMORY_GIB = 2

# Programs that guests need, and the Debian package of each.
_PROGRAMS = {
    "make": "make",
    "gcc": "gcc",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "patch": "patch",
    "xz": "xz-utils",
    "mmdebstrap": "mmdebstrap",
    "setpriv": "util-linux",
    "bwrap": "bubblewrap",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check. ``mend`` is a command or advice; empty if all is well.

    If ``needed``, guests cannot be built and run without it.
    """

    subject: str
    found: str
    ok: bool = True
    needed: bool = False
    mend: str = ""


def examine(arch: Arch) -> list[Finding]:
    """Check everything that is needed to build and run guests of a machine."""
    return [*_machine(), *_this_kernel(), *_tools(arch), *_sources()]


def _machine() -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    physical = psutil.cpu_count(logical=False)
    usable = len(os.sched_getaffinity(0))
    load = psutil.getloadavg()[0]
    yield Finding(
        subject="processors",
        found=f"{platform.machine()}, {physical} cores, {usable} usable, "
        f"load {load:.1f}",
    )
    yield Finding(
        subject="memory",
        found=f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free",
        ok=memory.available >= _MEMORY_GIB * 2**30,
        mend=f"free {_MEMORY_GIB} GiB",
    )
    folder = cache_dir()
    while not folder.exists():
        folder = folder.parent
    free = psutil.disk_usage(str(folder)).free
    yield Finding(
        subject="disk",
        found=f"{free / 2**30:.1f} GiB free for {cache_dir()}",
        ok=free >= _DISK_GIB * 2**30,
        mend=f"free {_DISK_GIB} GiB there, or set XDG_CACHE_HOME elsewhere",
    )
    kernels = sorted(p.name for p in (cache_dir() / "kernels").glob("*-*-*-*"))
    yield Finding(subject="built kernels", found=", ".join(kernels) or "none yet")


def _this_kernel() -> Iterator[Finding]:
    probe = probe_anon_name()
    yield Finding(
        subject="names here",
        found=f"linux {platform.release()}: {probe.support.value} ({probe.reason}); "
        "guests have their own kernel; anonvma run --target uml is the fastest",
    )
    yield Finding(
        subject="vm.max_map_count",
        found=f"{read_sysctl('vm.max_map_count')} here; guests set their own",
    )


def _tools(arch: Arch) -> Iterator[Finding]:
    programs = {
        **_PROGRAMS,
        f"{arch.cross_compile}gcc": arch.build_package,
        f"qemu-system-{arch.name}": arch.qemu_package,
    }
    for program, package in programs.items():
        path = shutil.which(program)
        yield Finding(
            subject=program,
            found=path or "missing",
            ok=path is not None,
            needed=True,
            mend="" if path else f"apt-get install {package}",
        )
    for name, package in arch.headers:
        header = header_path(name)
        yield Finding(
            subject=str(header),
            found="present" if header.exists() else "missing",
            ok=header.exists(),
            needed=True,
            mend="" if header.exists() else f"apt-get install {package}",
        )
    try:
        check_static_libc(arch)
    except EnvironmentFault:
        present = False
    else:
        present = True
    yield Finding(
        subject=f"static C library for {arch.name}",
        found="present" if present else "missing: anonvma kselftest needs it",
        ok=present,
        mend="" if present else f"apt-get install {arch.libc_package}",
    )


def _sources() -> Iterator[Finding]:
    # The newest base is the default.
    *_, newest = base_names()
    for base in base_names():
        try:
            package = find_source(base)
        except NoSuchSource:
            yield Finding(
                subject=f"linux {base} source",
                found=f"this Debian has no linux-source-{base}",
                ok=False,
                needed=base == newest,
                mend=f"use another base than {base}, or add a suite that has "
                f"linux-source-{base} to apt's sources",
            )
        except EnvironmentFault:
            yield Finding(
                subject=f"linux {base} source",
                found="missing",
                ok=False,
                needed=True,
                mend=f"apt-get install linux-source-{base}",
            )
        else:
            yield Finding(subject=f"linux {base} source", found=package.version)
