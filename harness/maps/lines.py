"""Parses a line of /proc/pid/maps; rendering the value gives the same bytes.

A name may contain several spaces in a row, end in a space, or look like another field.
So a line is cut by position, never split at white space. A line ends only at a
newline, because a path may contain a carriage return. The kernel pads the header to 72
columns and writes one more space before the name. Without a name, the line ends with
the header's own last space.

Source: fs/proc/task_mmu.c show_map_vma() and show_vma_header_prefix(),
fs/seq_file.c seq_pad().
"""

import re
from enum import Enum

from harness.errors import MapsFormatError
from harness.maps.entry import WIDTH, MapsEntry, render_header

_HEADER = re.compile(
    rb"(?P<start>[0-9a-f]{8,16})-(?P<end>[0-9a-f]{8,16}) "
    rb"(?P<perms>[r-][w-][x-][ps]) (?P<offset>[0-9a-f]{8,16}) "
    rb"(?P<major>[0-9a-f]{2,8}):(?P<minor>[0-9a-f]{2,8}) (?P<inode>0|[1-9][0-9]{0,19}) "
)

# mm/madvise.c is_valid_name_char(): printable ASCII except \ ` $ [ ]
NAME = rb"[ !-#%-Z^_a-~]{0,79}"
_ANON = re.compile(rb"\[anon:(" + NAME + rb")\]")
_ANON_SHMEM = re.compile(rb"\[anon_shmem:(" + NAME + rb")\]")
_SPECIAL = re.compile(rb"\[[!-Z^-~][ -Z^-~]*\]")
# A line of smaps that is not a field; also a last line without its newline.
_NO_FIELD = re.compile(rb"^[^A-Z\n].*\n?", re.MULTILINE)


class PathKind(Enum):
    """The kind of the pathname in a line of maps."""

    UNNAMED = "unnamed"
    ANON = "anon"
    ANON_SHMEM = "anon_shmem"
    SPECIAL = "special"
    FILE = "file"


def classify_pathname(pathname: bytes) -> tuple[PathKind, bytes | None]:
    """The kind of a pathname, and the anonymous name in it or None."""
    if not pathname:
        return PathKind.UNNAMED, None
    if match := _ANON.fullmatch(pathname):
        return PathKind.ANON, match[1]
    if match := _ANON_SHMEM.fullmatch(pathname):
        return PathKind.ANON_SHMEM, match[1]
    if _SPECIAL.fullmatch(pathname):
        return PathKind.SPECIAL, None
    return PathKind.FILE, None


def parse_line(line: bytes) -> MapsEntry:
    """Parse one line, without its newline.

    Raises MapsFormatError, which shows the line, if ``render_line`` would not give
    the same bytes.
    """
    header = _HEADER.match(line)
    if header is None:
        raise MapsFormatError(
            line, "the header is not START-END PERMS OFFSET DEV INODE"
        )
    pathname = b""
    if len(line) > header.end():
        name_at = max(WIDTH, header.end()) + 1
        pathname = line[name_at:]
        if line[header.end() : name_at].strip(b" ") or not pathname:
            raise MapsFormatError(
                line, "the name does not start in the column where the kernel puts it"
            )
        if b"\n" in pathname or b"\0" in pathname:
            raise MapsFormatError(line, "the name contains a newline or a NUL byte")
        if pathname.startswith(b"[anon") and classify_pathname(pathname)[1] is None:
            raise MapsFormatError(line, "no kernel accepts this anonymous name")
    entry = MapsEntry(
        start=int(header["start"], 16),
        end=int(header["end"], 16),
        perms=header["perms"].decode(),
        offset=int(header["offset"], 16),
        major=int(header["major"], 16),
        minor=int(header["minor"], 16),
        inode=int(header["inode"]),
        pathname=pathname,
    )
    if entry.start >= entry.end:
        raise MapsFormatError(line, "the VMA is empty or ends before it starts")
    if entry.inode >> 64:
        raise MapsFormatError(line, "the inode number has more than 64 bits")
    if not line.startswith(render_header(entry)):
        raise MapsFormatError(line, "the kernel pads the numbers differently")
    return entry


def smaps_headers(text: bytes) -> bytes:
    """The lines of a whole /proc/pid/smaps that maps has too, unchanged.

    The other lines are fields, ``Size:`` to ``VmFlags:``; they begin with a capital.
    Source: fs/proc/task_mmu.c show_smap(), which begins with show_map_vma().
    """
    return b"".join(_NO_FIELD.findall(text))
