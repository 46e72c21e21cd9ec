"""A line of /proc/pid/maps as a value, and the text that the kernel writes for it.

The value is a named tuple because a process can have 65 536 of them. Making one takes
a ninth of the time of a frozen dataclass; making many at once, less than half.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from harness.maps.lines import PathKind

# fs/proc/task_mmu.c: seq_setwidth(m, 25 + sizeof(void *) * 6 - 1)
WIDTH = 25 + 8 * 6 - 1


class MapsEntry(NamedTuple):
    """One line of /proc/pid/maps; addresses are in bytes, ``end`` is exclusive.

    ``pathname`` is the line's last field as the kernel wrote it, with brackets and
    ``(deleted)``; empty if the line has none.
    """

    start: int
    end: int
    perms: str
    offset: int = 0
    major: int = 0
    minor: int = 0
    inode: int = 0
    pathname: bytes = b""

    @property
    def kind(self) -> "PathKind":
        """The kind of the pathname; FILE unless it is empty or in brackets."""
        # Imported here only: code that only renders lines needs no regular expressions.
        from harness.maps.lines import classify_pathname

        return classify_pathname(self.pathname)[0]

    @property
    def anon_name(self) -> bytes | None:
        """The anonymous name, which may be ``b""``; None if the line shows none.

        None does not mean that the VMA has no name: maps shows ``[heap]`` and
        ``[stack]`` instead of a name.
        """
        from harness.maps.lines import classify_pathname

        return classify_pathname(self.pathname)[1]


def render_line(entry: MapsEntry) -> bytes:
    """The line as the kernel writes it, without its newline."""
    header = render_header(entry)
    if not entry.pathname:
        return header
    return header.ljust(WIDTH) + b" " + entry.pathname


def render_maps(entries: Iterable[MapsEntry]) -> bytes:
    """The text as the kernel writes it; the inverse of ``parse_maps``."""
    return b"".join(render_line(entry) + b"\n" for entry in entries)


def render_header(entry: MapsEntry) -> bytes:
    """The part that every line has, including the space at its end."""
    return (
        b"%08x-%08x %s %08x %02x:%02x %d " % (
            entry.start, entry.end, entry.perms.encode(), entry.offset,
            entry.major, entry.minor, entry.inode,
        )
    )  # fmt: skip
