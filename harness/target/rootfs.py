"""The guest's root: Debian's Python for its machine, as an initramfs, cached.

``mmdebstrap --variant=extract`` unpacks packages without running any of them,
so neither emulation nor root is needed; what a guest never reads is left out.
"""

import hashlib
import platform
import py_compile
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.arch import Arch
from harness.errors import EnvironmentFault
from harness.paths import cache_dir, package_dir
from harness.programs import exclusive, run_logged, tail_of
from harness.target.cpio import (
    CpioEntry,
    file_entry,
    folder_entry,
    link_entry,
    render_cpio,
)

_PACKAGES = ("python3", "busybox-static")
_DEADLINE_S = 600
# Bumped when what is made from the same packages changes.
_FORMAT = 1

# Documentation, locales and package managers' state; encodings, tests and
# tools of Python that no guest uses.
_LEFT_OUT = re.compile(
    r"usr/share|var/|usr/bin/dpkg|lib/systemd|usr/lib/[^/]+/gconv|"
    r"usr/lib/python3[^/]*/(test|lib2to3|pydoc_data|distutils|idlelib|tkinter)/"
)
_STDLIB = re.compile(r"usr/lib/(python3\.\d+)/(.*)\.py")

# The rooms that run next to the kernel.
_GUEST_ROOMS = ("__init__.py", "arch.py", "errors.py", "maps.py",
                "linux", "measure", "workload")  # fmt: skip


def guest_root(arch: Arch) -> Path:
    """The initramfs with Debian's Python for a machine, made on first use.

    Raises EnvironmentFault when mmdebstrap is missing or fails.
    """
    suite = _debian_suite()
    key = hashlib.sha256(
        repr(
            (_FORMAT, arch.debian_arch, suite, _PACKAGES, sys.version_info[:2])
        ).encode()
    ).hexdigest()[:12]
    room = cache_dir() / "rootfs"
    room.mkdir(parents=True, exist_ok=True)
    root = room / f"{suite}-{arch.debian_arch}-{key}.cpio"
    with exclusive(room / "lock"):
        if not root.exists():
            _make_root(arch, suite, root)
    return root


def harness_archive(files: dict[str, bytes]) -> bytes:
    """A second archive: init, the rooms a guest needs, and the files of the job."""
    entries = [
        file_entry(
            "init", (package_dir() / "target/guest_init.py").read_bytes(), mode=0o755
        ),
        folder_entry("job"),
        *(file_entry(f"job/{name}", content) for name, content in files.items()),
        folder_entry("harness"),
        folder_entry("harness/harness"),
    ]
    for room in _GUEST_ROOMS:
        path = package_dir() / room
        if path.is_dir():
            entries.append(folder_entry(f"harness/harness/{room}"))
        for source in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            inside = source.relative_to(package_dir().parent)
            entries.append(file_entry(f"harness/{inside}", source.read_bytes()))
    return render_cpio(entries)


def _debian_suite() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    return release.get("VERSION_CODENAME") or "bookworm"


def _make_root(arch: Arch, suite: str, root: Path) -> None:
    for stale in root.parent.glob("making-*"):
        shutil.rmtree(stale)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix="making-") as scratch:
        tarball = Path(scratch) / "root.tar"
        log = root.with_suffix(".log")
        log.unlink(missing_ok=True)
        status = run_logged(
            [
                "mmdebstrap", "--mode=chrootless", "--variant=extract",
                f"--arch={arch.debian_arch}", f"--include={','.join(_PACKAGES)}",
                suite, str(tarball),
            ],
            log,
            deadline_s=_DEADLINE_S,
        )  # fmt: skip
        if status != 0:
            how = f"exit status {status}" if status else f"over {_DEADLINE_S} s"
            raise EnvironmentFault(
                f"mmdebstrap could not make the guest's root ({how}); "
                f"the whole log is {log}, its end:\n{tail_of(log)}"
            )
        made = Path(scratch) / "root.cpio"
        with tarfile.open(tarball) as tar:
            made.write_bytes(render_cpio(_root_entries(tar, Path(scratch))))
        made.replace(root)


def _root_entries(tar: tarfile.TarFile, scratch: Path) -> Iterator[CpioEntry]:
    for member in tar:
        path = member.name.removeprefix("./").rstrip("/")
        if path in ("", ".") or _LEFT_OUT.match(path):
            continue
        if member.isdir():
            yield folder_entry(path)
        elif member.issym():
            yield link_entry(path, member.linkname)
        elif member.isreg() or member.islnk():
            file = tar.extractfile(member)
            assert file is not None
            content = file.read()
            yield file_entry(path, content, mode=member.mode & 0o777)
            yield from _compiled(path, content, scratch)
    yield link_entry("bin/sh", "busybox")


def _compiled(path: str, content: bytes, scratch: Path) -> Iterator[CpioEntry]:
    # A guest under emulation takes seconds to compile what it imports. Only
    # an interpreter of the same version writes what the guest's can read.
    match = _STDLIB.fullmatch(path)
    here = f"python3.{sys.version_info.minor}"
    if match is None or match[1] != here:
        return
    source, made = scratch / "source.py", scratch / "made.pyc"
    source.write_bytes(content)
    try:
        py_compile.compile(
            str(source),
            cfile=str(made),
            dfile=f"/{path}",
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    except py_compile.PyCompileError:
        return
    folder, _, name = path.rpartition("/")
    yield folder_entry(f"{folder}/__pycache__")
    yield file_entry(
        f"{folder}/__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc",
        made.read_bytes(),
    )
