"""Maps of a process that never was: what a layout's VMAs would look like."""

from collections.abc import Iterator

from harness.maps import MapsEntry, render_maps
from harness.workload import GUARD_PAGES, Layout, NamingScheme
from harness.workload.ops import PAGE

# Where mmap puts things on the machines that we have.
START = 0x7F0000000000


def entries_of(layout: Layout, naming: NamingScheme) -> Iterator[MapsEntry]:
    """The lines of an arena, guards included."""
    end = START + GUARD_PAGES * PAGE
    yield MapsEntry(start=START, end=end, perms="---p")
    size = layout.vma_pages * PAGE
    for index in range(layout.vmas):
        name = naming.name_of(index)
        start = end + index * size
        yield MapsEntry(
            start=start,
            end=start + size,
            perms="r--p" if index % 2 else "rw-p",
            pathname=b"" if name is None else b"[anon:%s]" % name,
        )
    last = end + layout.vmas * size
    yield MapsEntry(start=last, end=last + GUARD_PAGES * PAGE, perms="---p")


def text_of(layout: Layout, naming: NamingScheme) -> bytes:
    """The same as the kernel writes it."""
    return render_maps(entries_of(layout, naming))
