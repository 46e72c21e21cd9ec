"""Packs the rooms that run next to a kernel into one file: anonvma.pyz."""

import io
import zipfile
from pathlib import Path

from harness.host.paths import package_dir
from harness.host.scratch import scratch_folder
from harness.targets.rootfs import guest_modules

_MAIN = b"""import sys
if sys.version_info < (3, 10):
    sys.exit("anonvma.pyz: Python 3.10 or newer is needed, this is " + sys.version)
from harness.worker.measure.one_file import main
sys.exit(main())
"""
# The earliest time that a zip file can store. It is fixed, so that the same sources
# make the same file.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_pyz(out: Path) -> None:
    """Write the whole file, or nothing; run it with ``python3 FILE``."""
    packed = io.BytesIO()
    packed.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_member("__main__.py"), _MAIN)
        for source in guest_modules():
            name = str(source.relative_to(package_dir().parent))
            archive.writestr(_member(name), source.read_bytes())
    with scratch_folder(out.parent) as scratch:
        made = scratch / out.name
        made.write_bytes(packed.getvalue())
        made.chmod(0o755)
        made.replace(out)


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    return member
