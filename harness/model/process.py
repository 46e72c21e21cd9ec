"""The processes of the model: applies a trace's steps and renders their maps."""

from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple

from harness.model.behaviour import Behaviour
from harness.model.changing import advise, lock, protect, set_name, unlock, write
from harness.model.mapping import map_pages, remap, set_break
from harness.model.mm import Mm, Refused
from harness.model.names import NameStore, RefcountedStore
from harness.model.vma import ACCESS, EXEC, READ, SHARED, WRITE, File, Vma
from harness.workload.ops import (
    Advise,
    Break,
    Exec,
    Exit,
    Fork,
    Heap,
    Limit,
    Lock,
    Map,
    Memory,
    Protect,
    Remap,
    SetName,
    Step,
    Unlock,
    Unmap,
    Write,
)

# The path in maps of a file without an anonymous name. The path of the temporary
# file differs from run to run: it is shown as /file.
SHOWN_FILES = {
    Memory.SHARED: "/dev/zero (deleted)",
    Memory.MEMFD: "/memfd:harness (deleted)",
    Memory.MEMFD_PRIVATE: "/memfd:harness (deleted)",
    Memory.FILE: "/file",
    Memory.FILE_PRIVATE: "/file",
}


class Shown(NamedTuple):
    """A VMA as in maps: ``start``, ``end`` and ``offset`` in pages, perms and path."""

    start: int
    end: int
    perms: str
    offset: int
    path: str


class Model:
    """The processes of a trace. ``store`` holds the names of all of them."""

    def __init__(
        self, behaviour: Behaviour | None = None, store: NameStore | None = None
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.store = store or RefcountedStore()
        self.mms: dict[int, Mm] = {0: Mm(self.store)}
        # All processes map the same memfd and the same file.
        memfd, file = File(Memory.MEMFD), File(Memory.FILE)
        self._files = {
            Memory.MEMFD: memfd, Memory.MEMFD_PRIVATE: memfd,
            Memory.FILE: file, Memory.FILE_PRIVATE: file,
        }  # fmt: skip

    def apply(self, step: Step) -> int:
        """Execute a step; 0, or the errno that the kernel answers.

        If the kernel makes part of the change before it refuses, so does this.
        """
        mm = self.mms[step.who]
        mm.maybe.clear()
        mm.kin.clear()
        try:
            self._call(mm, step)
        except Refused as refused:
            return refused.code
        return 0

    def _call(self, mm: Mm, step: Step) -> None:
        # The most frequent operations come first.
        match step.op:
            case SetName() as op:
                set_name(mm, op, self.behaviour)
            case Protect(page, pages, prot):
                protect(mm, page, page + pages, prot, self.behaviour)
            case Fork(child):
                self.mms[child] = mm.forked()
            case Exit() | Exec():
                mm.clear()
                del self.mms[step.who]
            case Limit(room):
                for other in self.mms.values():
                    other.limit = mm.map_count + room
            case Map() as op:
                map_pages(mm, op, self._files)
            case Unmap(page, pages):
                mm.unmap(page, page + pages)
            case Remap() as op:
                remap(mm, op, self.behaviour)
            case Advise(page, pages, advice):
                advise(mm, page, page + pages, advice)
            case Lock(page, pages):
                lock(mm, page, page + pages)
            case Unlock(page, pages):
                unlock(mm, page, page + pages)
            case Write(page, pages):
                write(mm, page, page + pages)
            case Heap(page):
                mm.start_brk = mm.brk = page
            case Break(page):
                set_break(mm, page, self.behaviour)

    def shown(self, who: int) -> Iterator[Shown]:
        """The lines of a process's arena in /proc/pid/maps, in order."""
        mm = self.mms[who]
        rows = zip(
            [vma.start for vma in mm.vmas],
            [vma.end for vma in mm.vmas],
            [_PERMS[vma.flags & _SHOWN_FLAGS] for vma in mm.vmas],
            [vma.pgoff if vma.file else 0 for vma in mm.vmas],
            [self._path(mm, vma) for vma in mm.vmas],
            strict=True,
        )
        # The same as Shown(*row) for each row, but faster: there can be 65 536 rows.
        return map(tuple.__new__, repeat(Shown), rows)

    def _path(self, mm: Mm, vma: Vma) -> str:
        # fs/proc/task_mmu.c get_vma_name() (6.1: show_map_vma())
        if vma.file is not None:
            if vma.name is None:
                return SHOWN_FILES[vma.file.memory]
            return f"[anon_shmem:{vma.name.text.decode()}]"
        if self._is_heap(mm, vma):
            return "[heap]"
        return "" if vma.name is None else f"[anon:{vma.name.text.decode()}]"

    def _is_heap(self, mm: Mm, vma: Vma) -> bool:
        if mm.brk is None or mm.start_brk is None:
            return False
        if self.behaviour.heap_strict:
            return vma.start < mm.brk and vma.end > mm.start_brk
        return vma.start <= mm.brk and vma.end >= mm.start_brk


def perms_of(flags: int) -> str:
    """The permissions as maps shows them: ``rw-p``."""
    return (
        ("r" if flags & READ else "-")
        + ("w" if flags & WRITE else "-")
        + ("x" if flags & EXEC else "-")
        + ("s" if flags & SHARED else "p")
    )


_SHOWN_FLAGS = ACCESS | SHARED
_PERMS = tuple(perms_of(flags) for flags in range(_SHOWN_FLAGS + 1))
