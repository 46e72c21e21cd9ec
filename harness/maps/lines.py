"""A line of /proc/pid/maps to a value: strict in, byte for byte out again.

A name may contain runs of spaces, end in one, or look like anything else in
the line, so a line is cut by position and never split at white space, and
lines end at a newline only (a path may contain a carriage return). The kernel
pads the header to 72 columns and puts one more space before the name; nothing
follows the header's own last space when there is no name.

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

# mm/madvise.c is_valid_name_char(): printable ASCII but for \ ` $ [ ]
NAME = rb"[ !-#%-Z^_a-~]{0,79}"
_ANON = re.compile(rb"\[anon:(" + NAME + rb")\]")
_ANON_SHMEM = re.compile(rb"\[anon_shmem:(" + NAME + rb")\]")
_SPECIAL = re.compile(rb"\[[!-Z^-~][ -Z^-~]*\]")
# A line of smaps that is no field; a last one that was cut short, too.
_NO_FIELD = re.compile(rb"^[^A-Z\n].*\n?", re.MULTILINE)


class PathKind(Enum):
    """What stands where a line of maps names its mapping."""

    UNNAMED = "unnamed"
    ANON = "anon"
    ANON_SHMEM = "anon_shmem"
    SPECIAL = "special"
    FILE = "file"


def classify_pathname(pathname: bytes) -> tuple[PathKind, bytes | None]:
    """What a last field is, and the anonymous name in it."""
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
    """One line, without its newline, as a value.

    Raises MapsFormatError, which shows the line, for anything that
    ``render_line`` would not write back byte for byte.
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
                line, "the name does not start where the kernel puts it"
            )
        if b"\n" in pathname or b"\0" in pathname:
            raise MapsFormatError(line, "a newline or NUL byte inside the name")
        if pathname.startswith(b"[anon") and classify_pathname(pathname)[1] is None:
            raise MapsFormatError(line, "an anonymous name that no kernel accepts")
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
        raise MapsFormatError(line, "no inode number is wider than 64 bits")
    if not line.startswith(render_header(entry)):
        raise MapsFormatError(line, "numbers are not padded as the kernel pads them")
    return entry


def smaps_headers(text: bytes) -> bytes:
    """The lines of a whole /proc/pid/smaps that maps has too, as they are.

    The others are fields, ``Size:`` to ``VmFlags:``, and begin with a capital.
    Source: fs/proc/task_mmu.c show_smap(), which begins with show_map_vma().
    """
    return b"".join(_NO_FIELD.findall(text))
