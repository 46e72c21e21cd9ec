"""Fills a process up to a fixed number of own pages and VMAs before it forks.

Fork also copies the interpreter's pages and VMAs. Their number depends on the imports
and on Python's version; with 1 000 VMAs they are a tenth of fork's work. So each
process that forks is first filled up to a target number of

    private written pages, and VMAs

With these targets a fork costs as much as with version 0.3.0 on that machine, which
measured the campaigns in notebooks/data. So a worker may import less, and a Python may
be a little larger, without changing the result. ``make protocol`` checks that.

The number of pages is a result of ``make protocol``, not the count of 0.3.0: a fork
also pays for heap pages that were written since the fork before, and which pages those
are depends on the worker's code.
"""

import contextlib
import ctypes
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass

from harness.linux import (
    advise_memory,
    count_maps,
    map_memory,
    protect_memory,
    read_file,
    unmap_memory,
)
from harness.linux.uapi import (
    MADV_POPULATE_WRITE,
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
)

_PAGE = mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class Footprint:
    """A process's private written pages and its VMAs, without its layout."""

    pages: int
    vmas: int


# A hint for the address of the filling: far from the layouts, which the kernel places
# below all libraries. The number of VMAs above a layout determines how full the maple
# tree's nodes of the layout are, which costs fork two instructions per VMA.
_FAR_BELOW = 1 << 37
# The targets, by uname -m.
_FULL = {
    "aarch64": Footprint(pages=2140, vmas=54),
    "x86_64": Footprint(pages=2415, vmas=135),
}


@contextlib.contextmanager
def filled_up() -> Iterator[None]:
    """Run the block with this process filled up to the target, if it has less.

    Does nothing on a machine without a target, or if the kernel does not count pages
    (CONFIG_PROC_PAGE_MONITOR).
    """
    full, own = _FULL.get(os.uname().machine), process_footprint()
    if full is None or own is None or full.pages <= own.pages:
        yield
        return
    pages = full.pages - own.pages
    vmas = min(max(full.vmas - own.vmas, 1), pages)
    at, length = _make(pages * _PAGE, vmas)
    try:
        yield
    finally:
        unmap_memory(at, length)


def process_footprint() -> Footprint | None:
    """The footprint of this process now; None if the kernel does not count pages.

    It is exact, unlike /proc/self/status, whose counter may be off by a batch per CPU.
    """
    try:
        rollup = read_file("/proc/self/smaps_rollup")
    except OSError:
        return None
    _, found, after = rollup.partition(b"\nAnonymous:")
    if not found:
        return None
    return Footprint(pages=int(after.split()[0]) * 1024 // _PAGE, vmas=count_maps())


def _make(length: int, vmas: int) -> tuple[int, int]:
    """Make adjacent VMAs with ``length`` bytes of written pages; (start, length).

    01234567890
     wwwwwwwww     a hole on each side, so that no neighbour merges with them
     wwwrrrwww     split into three
    """
    whole = length + 2 * _PAGE
    protection, flags = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
    outer = map_memory(_FAR_BELOW, whole, protection, flags)
    unmap_memory(outer, _PAGE)
    unmap_memory(outer + _PAGE + length, _PAGE)
    start = outer + _PAGE
    # No huge pages: one has a single page table entry for 512 pages. Populate all pages
    # in one call, because in User-Mode Linux each fault is a call of the host. Errors
    # are ignored: some kernels have no huge pages, and before 5.14 no
    # MADV_POPULATE_WRITE.
    for advice in (mmap.MADV_NOHUGEPAGE, MADV_POPULATE_WRITE):
        with contextlib.suppress(OSError):
            advise_memory(start, length, advice)
    ctypes.memset(start, 1, length)
    each = length // _PAGE // vmas * _PAGE
    for index in range(1, vmas, 2):
        at = start + index * each
        last = index == vmas - 1
        protect_memory(at, start + length - at if last else each, PROT_READ)
    return start, length
