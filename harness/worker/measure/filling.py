"""What a process that forks has of its own, filled up to what it always had.

Fork copies the interpreter's pages and VMAs too, and how many there are hangs on what
was imported and by which Python: with 1 000 VMAs a tenth of all that fork does. So
that a worker may import less, and another Python be a little larger, without
measuring something else, each process that forks is first given what it lacks of

    pages of its own (private and written), and VMAs

which are those that the worker of version 0.3.0 had on that machine, the one that
the campaigns in notebooks/data are from. ``make protocol`` says whether that holds.
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
class Own:
    """What a process has besides the layout that it is measured with."""

    pages: int
    vmas: int


# Where the kernel puts it if nothing is there: far from the layouts, which it puts
# below all libraries. How full the nodes of the maple tree are that hold a layout hangs
# on how many VMAs are above it: two instructions of fork for each VMA.
_FAR_BELOW = 1 << 37
# By uname -m.
_FULL = {
    "aarch64": Own(pages=2148, vmas=54),
    "x86_64": Own(pages=2415, vmas=135),
}


@contextlib.contextmanager
def filled_up() -> Iterator[None]:
    """Run in a process that has as much of its own as any, where it has less.

    Nothing is done on a machine of which that is not known, or whose kernel does not
    count pages (CONFIG_PROC_PAGE_MONITOR).
    """
    full, own = _FULL.get(os.uname().machine), own_of_process()
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


def own_of_process() -> Own | None:
    """What this process has now; None where the kernel does not say.

    Exact: the counter in /proc/self/status may be off by a batch for each CPU.
    """
    try:
        rollup = read_file("/proc/self/smaps_rollup")
    except OSError:
        return None
    _, found, after = rollup.partition(b"\nAnonymous:")
    if not found:
        return None
    return Own(pages=int(after.split()[0]) * 1024 // _PAGE, vmas=count_maps())


def _make(length: int, vmas: int) -> tuple[int, int]:
    """Written pages in so many VMAs, side by side: where they start, and how long.

    01234567890
     wwwwwwwww     a hole on each side, that no neighbour merges with it
     wwwrrrwww     in three
    """
    whole = length + 2 * _PAGE
    protection, flags = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
    outer = map_memory(_FAR_BELOW, whole, protection, flags)
    unmap_memory(outer, _PAGE)
    unmap_memory(outer + _PAGE + length, _PAGE)
    start = outer + _PAGE
    # A huge page would be one entry for 512. All at once: each fault is a call of the
    # host in User-Mode Linux. Not every kernel has huge pages, or can be asked (5.14).
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
