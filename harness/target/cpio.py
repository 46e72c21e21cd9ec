"""Initramfs archives: the "newc" cpio format, written from plain entries.

Source: Documentation/driver-api/early-userspace/buffer-format.rst. Archives
may follow one another in one file; later entries win.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CpioEntry:
    """A file, folder, symbolic link (content: where to) or device (its numbers)."""

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def file_entry(path: str, content: bytes, *, mode: int = 0o644) -> CpioEntry:
    """A regular file."""
    return CpioEntry(path, stat.S_IFREG | mode, content)


def folder_entry(path: str, *, mode: int = 0o755) -> CpioEntry:
    """A folder; it must come before what is in it."""
    return CpioEntry(path, stat.S_IFDIR | mode)


def link_entry(path: str, target: str) -> CpioEntry:
    """A symbolic link."""
    return CpioEntry(path, stat.S_IFLNK | 0o777, os.fsencode(target))


def render_cpio(entries: Iterable[CpioEntry]) -> bytes:
    """A whole archive, owned by root, without times; the same for the same entries."""
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
    out += b"070701" + b"".join(b"%08X" % field for field in fields)
    out += path
    out += bytes(-len(out) % 4)
    out += entry.content
    out += bytes(-len(out) % 4)
