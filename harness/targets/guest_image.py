"""Makes guest images, which boot a kernel with the whole harness in its root.

A guest image has a kernel of ours, Debian's Python, and the packages that the harness
needs (pandas, scipy, psutil, pytest and others) from their wheels for that machine.
It is a folder with three files: kernel, root.cpio (an initramfs) and image.json.
"""

import importlib.metadata
import json
import lzma
import os
import re
import shutil
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.arch import Arch, arch_named
from harness.errors import EnvironmentFault, UsageError
from harness.host.files import read_small
from harness.host.paths import kernels_dir, package_dir
from harness.host.programs import run_logged, tail_of
from harness.host.scratch import scratch_folder
from harness.targets.cpio import CpioEntry, file_entry, folder_entry, render_cpio
from harness.targets.rootfs import (
    PROJECT,
    WHEEL_PACKAGES,
    check_inside,
    compiled_entries,
    guest_root,
)

# While a guest image boots, its packages are in memory twice.
IMAGE_MIB = 3072
# Installed in the image, to run the project and to test it.
_PACKAGES_FOLDER = "usr/lib/python3/dist-packages"
_NEEDED = (
    "numpy", "pandas", "psutil", "pyarrow", "python-ptrace", "rich", "scipy",
    "statsmodels",
)  # fmt: skip
_FOR_TESTS = ("pytest", "pytest-timeout", "hypothesis")
# Not copied from wheels: tests, headers and static libraries, which nobody uses there.
_LEFT_OUT = re.compile(
    r".*\.(h|hpp|pxd|pyx|pyi|a|cmake|pc)|pyarrow/(include|src|tests)/.*|"
    r"(pandas|numpy|scipy|statsmodels|patsy)/(.*/)?(tests|datasets)/.*|.*\.dist-info/(licenses|sboms)/.*"
)
_DEADLINE_S = 600
# The largest wheel, pyarrow, has 150 million bytes.
_MOST_WHEEL_BYTES = 1 << 30
_ANONVMA = b"""#!/usr/bin/python3
import sys
from harness.__main__ import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A guest image on disk."""

    kernel: Path
    root: Path
    arch: Arch


def read_image(folder: Path) -> Image:
    """A guest image that ``make_image`` made. Raises UsageError for anything else."""
    try:
        facts = json.loads(read_small(folder / "image.json"))
        arch = arch_named(str(facts["arch"]))
        if not arch.qemu_package:
            raise ValueError("a guest image runs under QEMU, not User-Mode Linux")
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UsageError):
        raise UsageError(
            f"{folder} is not a guest image; to make one: anonvma image --out {folder}"
        ) from None
    return Image(kernel=folder / "kernel", root=folder / "root.cpio", arch=arch)


def make_image(
    out: Path,
    kernel: Path,
    arch: Arch,
    *,
    wheels: Path | None,
    on_step: Callable[[str], None],
) -> Image:
    """Make a guest image in a folder; if it fails, nothing is left there.

    ``wheels`` is a folder with the Python packages, used instead of the package index.
    Raises EnvironmentFault if a package cannot be fetched or the root cannot be made.
    """
    on_step("making the root with Debian's Python")
    root = guest_root(arch, WHEEL_PACKAGES)
    pins = pinned_packages()
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(out.parent) as scratch:
        folder = scratch / "image"
        folder.mkdir()
        on_step(f"fetching {len(pins)} packages for {arch.name}")
        fetched = _fetch_wheels(pins, arch, scratch / "wheels", wheels)
        on_step("packing the image")
        with open(folder / "root.cpio", "wb") as file:
            file.write(root.read_bytes())
            file.write(render_cpio(wheel_entries(fetched, arch)))
            file.write(render_cpio(_project_entries()))
        shutil.copyfile(kernel, folder / "kernel")
        facts = {"arch": arch.name, "packages": pins}
        (folder / "image.json").write_text(json.dumps(facts, indent=1) + "\n")
        if out.exists():
            # Only a guest image may be replaced: anything else raises UsageError.
            read_image(out)
            shutil.rmtree(out)
        folder.rename(out)
    return read_image(out)


def pinned_packages() -> list[str]:
    """``name==version`` of each package that a guest image needs.

    The versions are those that are installed here. Raises EnvironmentFault if a
    package is not installed.
    """
    found: dict[str, str] = {}
    needed = (*_NEEDED, *(_FOR_TESTS if _in_checkout() else ()))
    waiting = list(needed)
    while waiting:
        name = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if name in needed:
                raise EnvironmentFault(
                    f"the package {name} is not installed here, so its version for "
                    f"the guest image is unknown; to install it: pip install {name}"
                ) from None
            # A dependency on other systems only.
            continue
        found[key] = distribution.version
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement:
                match = re.match(r"[A-Za-z0-9._-]+", requirement)
                assert match is not None
                waiting.append(match[0])
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _in_checkout() -> bool:
    return (package_dir().parent / "pyproject.toml").exists()


def _fetch_wheels(
    pins: Sequence[str], arch: Arch, folder: Path, source: Path | None
) -> list[Path]:
    minor = sys.version_info.minor
    index = [] if source is None else ["--no-index", f"--find-links={source.resolve()}"]
    common = ["--no-deps", "--quiet", "--disable-pip-version-check", *index]
    platforms = [
        f"--platform=manylinux_2_{glibc}_{arch.name}" for glibc in (36, 34, 28, 27, 17)
    ] + [f"--platform=manylinux2014_{arch.name}"]
    foreign = [
        "--only-binary=:all:", *platforms, f"--python-version=3.{minor}",
        "--implementation=cp",
    ]  # fmt: skip
    folder.mkdir()
    for pin in pins:
        error = _pip(
            folder.parent, "download", *common, *foreign, f"--dest={folder}", pin
        )
        if error:
            # It may be published as source only: pure Python is the same on any
            # machine.
            error = _pip(folder.parent, "wheel", *common, f"--wheel-dir={folder}", pin)
        if error:
            raise EnvironmentFault(f"{pin} cannot be fetched for {arch.name}:\n{error}")
    return sorted(folder.glob("*.whl"))


def _pip(scratch: Path, *arguments: str) -> str:
    log = scratch / "pip.log"
    log.unlink(missing_ok=True)
    status = run_logged(
        [sys.executable, "-m", "pip", *arguments], log, deadline_s=_DEADLINE_S,
        env={**os.environ, "TMPDIR": str(scratch)},
    )  # fmt: skip
    if status is None:
        return f"pip took longer than {_DEADLINE_S} s"
    return "" if status == 0 else tail_of(log)


def wheel_entries(wheels: Sequence[Path], arch: Arch) -> Iterator[CpioEntry]:
    """The files of wheels that go into a guest image.

    The wheels are not unpacked, so no link in them is followed. Raises
    EnvironmentFault for a wheel that is for another machine, damaged or too large, or
    has a path outside the folder of packages.
    """
    made: set[str] = set()
    for wheel in wheels:
        if not wheel.name.endswith(("-any.whl", f"_{arch.name}.whl")):
            raise EnvironmentFault(f"{wheel.name} is not for {arch.name}")
        try:
            with zipfile.ZipFile(wheel) as archive:
                yield from _entries_of(archive, made)
        except (
            # A wrong checksum, an unknown compression, a password, a bad header.
            zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError,
            ValueError, LookupError, zlib.error, lzma.LZMAError, struct.error,
        ) as error:  # fmt: skip
            raise EnvironmentFault(
                f"{wheel.name} is not a complete wheel: {error!r:.200}"
            ) from None


def _entries_of(archive: zipfile.ZipFile, made: set[str]) -> Iterator[CpioEntry]:
    size = sum(info.file_size for info in archive.infolist())
    if size > _MOST_WHEEL_BYTES:
        raise EnvironmentFault(
            f"{archive.filename} would unpack to {size} bytes; the most that a wheel "
            f"for a guest image may have is {_MOST_WHEEL_BYTES}"
        )
    for info in archive.infolist():
        name = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", info.filename)
        if info.is_dir() or ".data/" in name or _LEFT_OUT.fullmatch(name):
            continue
        check_inside(name)
        content = archive.read(info)
        yield from _with_folders(f"{_PACKAGES_FOLDER}/{name}", content, made)


def _with_folders(path: str, content: bytes, made: set[str]) -> Iterator[CpioEntry]:
    for entry in [
        file_entry(path, content), *compiled_entries(path, content),
    ]:  # fmt: skip
        parts = entry.path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in made:
                made.add(folder)
                yield folder_entry(folder)
        yield entry


def _project_entries() -> Iterator[CpioEntry]:
    made: set[str] = set()
    checkout = package_dir().parent
    sources = [
        (package_dir(), f"{PROJECT}/harness"),
        (kernels_dir(), f"{PROJECT}/kernels"),
    ]
    # A checkout has tests; an installed package does not.
    if _in_checkout():
        sources.append((checkout / "tests", f"{PROJECT}/tests"))
        content = (checkout / "pyproject.toml").read_bytes()
        yield from _with_folders(f"{PROJECT}/pyproject.toml", content, made)
    for source, folder in sources:
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                name = f"{folder}/{path.relative_to(source)}"
                yield from _with_folders(name, path.read_bytes(), made)
    yield folder_entry(f"{PROJECT}/bin")
    yield file_entry(f"{PROJECT}/bin/anonvma", _ANONVMA, mode=0o755)
