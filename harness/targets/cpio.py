"""Writes initramfs archives in the "newc" cpio format.

Source: Documentation/driver-api/early-userspace/buffer-format.rst. A file may contain
several archives, one after the other; of two entries with the same path, the later
one is used.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_MAGIC = b"070701"
# Offsets of the content's and the name's length in a header, and the header's length.
_SIZE, _NAME, _HEADER = 54, 94, 110


@dataclass(frozen=True, slots=True)
class CpioEntry:
    """A file, a folder, a symbolic link or a device.

    ``content`` is the content of a file or the target of a link; ``device`` has the
    major and minor number of a device.
    """

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def file_entry(path: str, content: bytes, *, mode: int = 0o644) -> CpioEntry:
    """A regular file."""
    return CpioEntry(path, stat.S_IFREG | mode, content)


def folder_entry(path: str, *, mode: int = 0o755) -> CpioEntry:
    """A folder. It must come before its content."""
    return CpioEntry(path, stat.S_IFDIR | mode)


def link_entry(path: str, target: str) -> CpioEntry:
    """A symbolic link."""
    return CpioEntry(path, stat.S_IFLNK | 0o777, os.fsencode(target))


def render_cpio(entries: Iterable[CpioEntry]) -> bytes:
    """A whole archive. All files belong to root and have time 0.

    The same entries make the same bytes.
    """
    out = bytearray()
    number = 0
    for number, entry in enumerate(entries, 1):
        _append(out, entry, number)
    _append(out, CpioEntry("TRAILER!!!", 0), number + 1)
    return bytes(out)


def _append(out: bytearray, entry: CpioEntry, number: int) -> None:
    path = os.fsencode(entry.path) + b"\0"
    major, minor = entry.device
    fields = (
        number, entry.mode, 0, 0, 1, 0, len(entry.content),
        0, 0, major, minor, len(path), 0,
    )  # fmt: skip
    out += _MAGIC + b"".join(b"%08X" % field for field in fields)
    out += path
    out += bytes(-len(out) % 4)
    out += entry.content
    out += bytes(-len(out) % 4)


def raw_members(archive: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """(path, raw bytes, content) of each member of an archive by ``render_cpio``.

    The raw bytes of some members, joined, are again an archive.
    """
    at = 0
    while archive[at : at + len(_MAGIC)] == _MAGIC:
        size, name_size = (
            int(archive[at + field : at + field + 8], 16) for field in (_SIZE, _NAME)
        )
        name_at = at + _HEADER
        content_at = name_at + name_size
        content_at += -content_at % 4
        path = os.fsdecode(archive[name_at : name_at + name_size - 1])
        content = archive[content_at : content_at + size]
        end = content_at + size + -(content_at + size) % 4
        yield path, archive[at:end], content
        at = end
