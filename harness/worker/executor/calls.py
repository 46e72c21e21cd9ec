"""Executes one step's operation: makes the real system call in this process."""

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
from harness.worker.executor.arena_address import ArenaAddress
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

# An address that cannot be read, whatever vm.mmap_min_addr is: nothing here maps the
# first page.
_NOWHERE = 16


@dataclass(frozen=True, slots=True)
class CallContext:
    """What the calls need besides their arguments: addresses and descriptors.

    ``zero`` is /dev/zero. ``edge`` is an address: the page before it is writable,
    the page that begins at it cannot be read.
    """

    arena: ArenaAddress
    zero: int
    memfd: int
    file: int
    edge: int

    def at(self, page: int) -> int:
        """The address of a page of the arena."""
        return self.arena.start + page * PAGE


def make_call_context(file: int, arena: ArenaAddress) -> CallContext:
    """Open /dev/zero and a memfd, and map the two pages around ``edge``."""
    memfd = os.memfd_create("harness")
    os.ftruncate(memfd, FILE_PAGES * PAGE)
    start = map_memory(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    protect_memory(start + PAGE, PAGE, PROT_NONE)
    return CallContext(
        arena, os.open("/dev/zero", os.O_RDONLY), memfd, file, start + PAGE
    )


def call(op: Op, context: CallContext) -> None:
    """Execute an operation of one process. Raises the kernel's OSError."""
    match op:
        case SetName():
            _set_name(op, context)
        case Map():
            _map(op, context)
        case Unmap(page, pages):
            unmap_memory(context.at(page), pages * PAGE)
        case Protect(page, pages, prot):
            protect_memory(context.at(page), pages * PAGE, prot)
        case Remap():
            _remap(op, context)
        case Advise(page, pages, advice):
            advise_memory(context.at(page), pages * PAGE, advice.value)
        case Lock(page, pages):
            lock_memory(context.at(page), pages * PAGE)
        case Unlock(page, pages):
            unlock_memory(context.at(page), pages * PAGE)
        case Write(page, pages):
            for each in range(page, page + pages):
                read_into(context.zero, context.at(each), 1)
        case Heap(page):
            move_heap(context.at(page))
        case Break(page):
            set_break(context.at(page))
        case _:
            raise AssertionError(f"{op} is not an operation of one process")


def _set_name(op: SetName, context: CallContext) -> None:
    name: bytes | int | None
    if op.name is Pointer.NULL:
        name = None
    elif op.name is Pointer.BAD:
        name = _NOWHERE
    else:
        name = op.name.encode("latin-1")
        if op.edge:
            start = context.edge - len(name)
            ctypes.memmove(start, name, len(name))
            name = start
    set_anon_name(context.at(op.page) + op.offset, op.length, name, attr=op.attr)


def _map(op: Map, context: CallContext) -> None:
    flags = MAP_FIXED if op.replace else MAP_FIXED_NOREPLACE
    if op.noreserve:
        flags |= MAP_NORESERVE
    shared = op.memory in (Memory.SHARED, Memory.MEMFD, Memory.FILE)
    flags |= MAP_SHARED if shared else MAP_PRIVATE
    fd = -1
    if op.memory in (Memory.PRIVATE, Memory.SHARED):
        flags |= MAP_ANONYMOUS
    else:
        fd = context.memfd if op.memory.value.startswith("memfd") else context.file
    map_memory(
        context.at(op.page), op.pages * PAGE, op.prot, flags, fd=fd,
        offset=0 if fd == -1 else op.from_page * PAGE,
    )  # fmt: skip


def _remap(op: Remap, context: CallContext) -> None:
    flags, to = 0, 0
    if op.to is not None:
        flags, to = MREMAP_MAYMOVE | MREMAP_FIXED, context.at(op.to)
        if op.keep:
            flags |= MREMAP_DONTUNMAP
    remap_memory(
        context.at(op.page), op.pages * PAGE, op.new_pages * PAGE, flags, new_start=to
    )
