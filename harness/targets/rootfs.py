"""Makes and caches the guest's root: Debian's Python for its machine, as an initramfs.

``mmdebstrap --variant=extract`` unpacks packages without running their programs, so
it needs neither emulation nor root. Files that guests never read are left out.

Since Debian 13, packages have everything in /usr, and a script of base-files makes
/bin, /lib and /sbin links to it. That script does not run, so the links are made here.
"""

import hashlib
import lzma
import os
import platform
import re
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.arch import Arch
from harness.errors import EnvironmentFault
from harness.host.locks import exclusive
from harness.host.paths import cache_dir, package_dir
from harness.host.programs import run_logged, tail_of
from harness.host.scratch import scratch_folder
from harness.targets.bytecode import bytecode_of, compiled
from harness.targets.cpio import (
    CpioEntry,
    file_entry,
    folder_entry,
    link_entry,
    render_cpio,
)
from harness.targets.worker_root import PART_FORMAT, part_for

_PACKAGES = ("python3", "busybox-static")
# The libraries that Python's binary wheels expect on any system, besides the C library.
WHEEL_PACKAGES = ("libstdc++6", "zlib1g")
# The folder of the project in a guest image.
PROJECT = "opt/anonvma"
_DEADLINE_S = 600
# Raised when the same packages give another root.
_FORMAT = 3
# These become links to the folders in /usr if the packages have no files in them.
_MERGED = ("bin", "lib", "lib64", "sbin")
_MOST_FILE_BYTES = 1 << 28

# Left out: documentation, locales, the state of package managers, and the tests and
# tools of Python that no guest uses.
_LEFT_OUT = re.compile(
    r"usr/share|var/|usr/bin/dpkg|(usr/)?lib/systemd|usr/lib/[^/]+/gconv|"
    r"usr/lib/python3[^/]*/(test|lib2to3|pydoc_data|distutils|idlelib|tkinter)/"
)
_CACHE_TAG = sys.implementation.cache_tag
# Only guest images get these files, because packages may need any part of Python. They
# are half of the root's bytes, and an emulated guest needs half a second to unpack
# them. Without OpenSSL, hashlib uses its own digests.
_FOR_IMAGES = re.compile(
    r"(usr/)?bin/tar|usr/lib/[^/]+/(lib(crypto|ssl|db|sqlite3|krb5|krb5support|k5crypto|"
    r"gssapi_krb5|stdc\+\+|pcre2|nsl|tirpc|uuid)[-.]|engines|ossl)|"
    r"usr/lib/python3[^/]*/((asyncio|curses|dbm|email|ensurepip|html|http|"
    r"multiprocessing|sqlite3|unittest|venv|wsgiref|xml|xmlrpc|zoneinfo)/|"
    r"lib-dynload/_(asyncio|codecs_|curses|dbm|decimal|hashlib|multi|sqlite3|ssl|test|"
    r"uuid|xx|zoneinfo))"
)
_PYTHON_SOURCE = re.compile(r"usr/lib/(python3\.\d+|python3)/(.*)\.py")

# The rooms (packages of ours) that run next to the kernel.
_GUEST_ROOMS = ("__init__.py", "arch.py", "errors.py",
                "lean", "linux", "maps", "worker", "workload")  # fmt: skip


def guest_root(arch: Arch, extra: tuple[str, ...] = ()) -> Path:
    """The initramfs with Debian's Python for a machine, made on first use.

    ``extra`` has further Debian packages. Raises EnvironmentFault if mmdebstrap is
    missing or fails.
    """
    suite = _debian_suite()
    key = hashlib.sha256(
        repr(
            (_FORMAT, arch.debian_arch, suite, _PACKAGES + extra, sys.version_info[:2])
        ).encode()
    ).hexdigest()[:12]
    room = cache_dir() / "rootfs"
    room.mkdir(parents=True, exist_ok=True)
    root = room / f"{suite}-{arch.debian_arch}-{key}.cpio"
    with exclusive(room / "lock"):
        if not root.exists():
            _make_root(arch, suite, _PACKAGES + extra, root)
    return root


def worker_root(arch: Arch, modules: tuple[str, ...]) -> Path:
    """The part of ``guest_root`` for a guest that only imports these standard modules.

    Made on first use. Raises EnvironmentFault like ``guest_root``.
    """
    whole = guest_root(arch)
    key = hashlib.sha256(repr((PART_FORMAT, modules)).encode()).hexdigest()[:12]
    part = whole.with_name(f"{whole.stem}-worker-{key}.cpio")
    if not part.exists():
        with exclusive(whole.parent / "lock"), scratch_folder(whole.parent) as scratch:
            made = scratch / part.name
            made.write_bytes(part_for(modules, whole.read_bytes()))
            made.replace(part)
    return part


def job_archive(files: Mapping[str, bytes]) -> bytes:
    """The second archive: the files of the job, in /job."""
    return render_cpio(
        [
            folder_entry("job"),
            *(
                file_entry(f"job/{name}", content, mode=0o755)
                for name, content in files.items()
            ),
        ]
    )


def harness_archive() -> bytes:
    """The third archive: the rooms that run next to the kernel, in /harness."""
    entries = [folder_entry("harness")]
    folders = set()
    for source in guest_modules():
        inside = f"harness/{source.parent.relative_to(package_dir().parent)}"
        if inside not in folders:
            folders.add(inside)
            entries += [folder_entry(inside), folder_entry(f"{inside}/__pycache__")]
        entries.append(file_entry(f"{inside}/{source.name}", source.read_bytes()))
        compiled = f"{inside}/__pycache__/{source.stem}.{_CACHE_TAG}.pyc"
        entries.append(file_entry(compiled, bytecode_of(source)))
    return render_cpio(entries)


def guest_modules() -> list[Path]:
    """The source files of the rooms that run next to a kernel, room by room."""
    sources = []
    for room in _GUEST_ROOMS:
        path = package_dir() / room
        sources += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return sources


def _debian_suite() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    return release.get("VERSION_CODENAME") or "bookworm"


def _make_root(arch: Arch, suite: str, packages: tuple[str, ...], root: Path) -> None:
    for stale in root.parent.glob("making-*"):
        shutil.rmtree(stale)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix="making-") as scratch:
        tarball = Path(scratch) / "root.tar"
        log = root.with_suffix(".log")
        log.unlink(missing_ok=True)
        status = run_logged(
            mmdebstrap_argv(arch.debian_arch, suite, packages, tarball),
            log,
            deadline_s=_DEADLINE_S,
            # mmdebstrap's temporary folder is in ours, so it is removed with it.
            env={**os.environ, "TMPDIR": scratch},
        )
        if status != 0:
            how = f"exit status {status}" if status else f"over {_DEADLINE_S} s"
            raise EnvironmentFault(
                f"mmdebstrap failed to make the guest's root ({how}); "
                f"the whole log is {log}, its end:\n{tail_of(log)}"
            )
        made = Path(scratch) / "root.cpio"
        entries = root_entries(tarball, whole=packages != _PACKAGES)
        made.write_bytes(render_cpio(entries))
        made.replace(root)


def mmdebstrap_argv(
    debian_arch: str, suite: str, packages: Sequence[str], tarball: Path
) -> list[str]:
    """The command that unpacks packages, and their dependencies, into a tarball.

    Debian 13's mmdebstrap refuses chrootless mode to root, because the script of a
    package could change this machine's files. No script runs here, so the check is
    skipped.
    """
    return [
        "mmdebstrap", "--mode=chrootless", "--skip=check/chrootless",
        "--variant=extract", f"--arch={debian_arch}",
        f"--include={','.join(packages)}", suite, str(tarball),
    ]  # fmt: skip


def root_entries(tarball: Path, *, whole: bool) -> Iterator[CpioEntry]:
    """The entries of a tarball that become the root.

    A guest image gets the ``whole`` root. The tarball is not unpacked, so no link in
    it is followed. Raises EnvironmentFault if the tarball is damaged or has a path
    outside the root.
    """
    try:
        with tarfile.open(tarball) as tar:
            yield from _entries_of(tar, whole=whole)
    # tarfile checks the numbers of a header only when it uses them.
    except (
        tarfile.TarError, OSError, EOFError, ValueError, LookupError, OverflowError,
        MemoryError, zlib.error, lzma.LZMAError,
    ) as error:  # fmt: skip
        raise EnvironmentFault(
            f"{tarball} is not a complete archive: {error!r:.200}"
        ) from None


def _entries_of(tar: tarfile.TarFile, *, whole: bool) -> Iterator[CpioEntry]:
    top, folders = set(), set()
    for member in tar:
        path = member.name.removeprefix("./").rstrip("/")
        if path in ("", ".") or _LEFT_OUT.match(path):
            continue
        check_inside(path)
        if not whole and _FOR_IMAGES.match(path):
            continue
        top.add(path.partition("/")[0])
        if member.isdir():
            folders.add(path)
            yield folder_entry(path)
        elif member.issym():
            yield link_entry(path, member.linkname)
        elif member.isreg() or member.islnk():
            file = tar.extractfile(member)
            if file is None or member.size > _MOST_FILE_BYTES:
                raise EnvironmentFault(
                    f"{path} is too large for a root, or a link to a missing file"
                )
            content = file.read()
            yield file_entry(path, content, mode=member.mode & 0o777)
            yield from compiled_entries(path, content)
    for name in _MERGED:
        if name not in top and f"usr/{name}" in folders:
            yield link_entry(name, f"usr/{name}")
    yield link_entry("bin/sh" if "bin" in folders else "usr/bin/sh", "busybox")


def check_inside(path: str) -> None:
    """Raise EnvironmentFault if a path in an archive could leave its folder."""
    if "\0" in path or {"", ".", ".."} & set(path.split("/")):
        raise EnvironmentFault(
            f"an archive contains a path that leaves its folder: {path[:200]!r}"
        )


def compiled_entries(path: str, content: bytes) -> Iterator[CpioEntry]:
    """The bytecode of a module of the root's Python; no entries for other files.

    An emulated guest would need seconds to compile its imports. The guest can read
    bytecode only if its Python has the same version as the one here.
    """
    match = _PYTHON_SOURCE.fullmatch(path)
    here = f"python3.{sys.version_info.minor}"
    if match is None or match[1] not in ("python3", here):
        return
    try:
        made = compiled(content, f"/{path}")
    except (SyntaxError, ValueError):
        return
    folder, _, name = path.rpartition("/")
    yield folder_entry(f"{folder}/__pycache__")
    yield file_entry(
        f"{folder}/__pycache__/{name.removesuffix('.py')}.{_CACHE_TAG}.pyc",
        made,
    )
