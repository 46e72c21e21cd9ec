"""A line of /proc/pid/maps as a value, and as the kernel writes it.

A value is a named tuple, as a process has 65 536: it takes a ninth of the time that a
frozen dataclass takes to be made, and less than half where many are made at once.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from harness.maps.lines import PathKind

# fs/proc/task_mmu.c: seq_setwidth(m, 25 + sizeof(void *) * 6 - 1)
WIDTH = 25 + 8 * 6 - 1


class MapsEntry(NamedTuple):
    """One line of /proc/pid/maps; addresses are in bytes, ``end`` is exclusive.

    ``pathname`` is the line's last field as the kernel wrote it, brackets and
    ``(deleted)`` included; empty when the line has none.
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
        """What the last field is; a file unless the kernel's brackets say more."""
        # Here only: what makes and writes lines needs no regular expressions.
        from harness.maps.lines import classify_pathname

        return classify_pathname(self.pathname)[0]

    @property
    def anon_name(self) -> bytes | None:
        """The anonymous name, ``b""`` included; None where the line shows none.

        None does not mean that the VMA has no name: ``[heap]`` and ``[stack]``
        hide theirs.
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
    """The part that every line has, its last space included."""
    return (
        b"%08x-%08x %s %08x %02x:%02x %d " % (
            entry.start, entry.end, entry.perms.encode(), entry.offset,
            entry.major, entry.minor, entry.inode,
        )
    )  # fmt: skip
