"""One step's operation as the real call, in the process that does it."""

import ctypes
import os
from dataclasses import dataclass

from harness.linux import (
    advise_memory,
    lock_memory,
    map_memory,
    move_heap,
    protect_memory,
    read_into,
    remap_memory,
    set_anon_name,
    set_break,
    unlock_memory,
    unmap_memory,
)
from harness.linux.uapi import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from harness.worker.executor.arena_address import Place
from harness.workload.ops import (
    FILE_PAGES,
    PAGE,
    Advise,
    Break,
    Heap,
    Lock,
    Map,
    Memory,
    Op,
    Pointer,
    Protect,
    Remap,
    SetName,
    Unlock,
    Unmap,
    Write,
)

# Nothing can be mapped there, whatever vm.mmap_min_addr is: it is not aligned
# to be, and the first page is not.
_NOWHERE = 16


@dataclass(frozen=True, slots=True)
class Means:
    """What calls need besides their arguments: where, descriptors, an edge.

    ``edge`` is the address of the end of a page that can be written, before one
    that cannot be read.
    """

    place: Place
    zero: int
    memfd: int
    file: int
    edge: int

    def at(self, page: int) -> int:
        """The address of a page of the arena."""
        return self.place.start + page * PAGE


def make_means(file: int, place: Place) -> Means:
    """Open and map what there is not yet: all but the file."""
    memfd = os.memfd_create("harness")
    os.ftruncate(memfd, FILE_PAGES * PAGE)
    start = map_memory(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    protect_memory(start + PAGE, PAGE, PROT_NONE)
    return Means(place, os.open("/dev/zero", os.O_RDONLY), memfd, file, start + PAGE)


def call(op: Op, means: Means) -> None:
    """Do an operation of one process. Raises OSError as the kernel answers."""
    match op:
        case SetName():
            _set_name(op, means)
        case Map():
            _map(op, means)
        case Unmap(page, pages):
            unmap_memory(means.at(page), pages * PAGE)
        case Protect(page, pages, prot):
            protect_memory(means.at(page), pages * PAGE, prot)
        case Remap():
            _remap(op, means)
        case Advise(page, pages, advice):
            advise_memory(means.at(page), pages * PAGE, advice.value)
        case Lock(page, pages):
            lock_memory(means.at(page), pages * PAGE)
        case Unlock(page, pages):
            unlock_memory(means.at(page), pages * PAGE)
        case Write(page, pages):
            for each in range(page, page + pages):
                read_into(means.zero, means.at(each), 1)
        case Heap(page):
            move_heap(means.at(page))
        case Break(page):
            set_break(means.at(page))
        case _:
            raise AssertionError(f"{op} is not of one process")


def _set_name(op: SetName, means: Means) -> None:
    name: bytes | int | None
    if op.name is Pointer.NULL:
        name = None
    elif op.name is Pointer.BAD:
        name = _NOWHERE
    else:
        name = op.name.encode("latin-1")
        if op.edge:
            start = means.edge - len(name)
            ctypes.memmove(start, name, len(name))
            name = start
    set_anon_name(means.at(op.page) + op.offset, op.length, name, attr=op.attr)


def _map(op: Map, means: Means) -> None:
    flags = MAP_FIXED if op.replace else MAP_FIXED_NOREPLACE
    if op.noreserve:
        flags |= MAP_NORESERVE
    shared = op.memory in (Memory.SHARED, Memory.MEMFD, Memory.FILE)
    flags |= MAP_SHARED if shared else MAP_PRIVATE
    fd = -1
    if op.memory in (Memory.PRIVATE, Memory.SHARED):
        flags |= MAP_ANONYMOUS
    else:
        fd = means.memfd if op.memory.value.startswith("memfd") else means.file
    map_memory(
        means.at(op.page), op.pages * PAGE, op.prot, flags, fd=fd,
        offset=0 if fd == -1 else op.from_page * PAGE,
    )  # fmt: skip


def _remap(op: Remap, means: Means) -> None:
    flags, to = 0, 0
    if op.to is not None:
        flags, to = MREMAP_MAYMOVE | MREMAP_FIXED, means.at(op.to)
        if op.keep:
            flags |= MREMAP_DONTUNMAP
    remap_memory(
        means.at(op.page), op.pages * PAGE, op.new_pages * PAGE, flags, new_start=to
    )
