"""The calls that add or move memory: mmap, mremap, brk (munmap is ``Mm.unmap``)."""

import errno

from harness.model.behaviour import Behaviour
from harness.model.changing import populate
from harness.model.mm import Mm, Refused
from harness.model.vma import (
    ACCOUNT,
    EXEC,
    LOCKED,
    NORESERVE,
    READ,
    SHARED,
    WRITE,
    File,
    Join,
    Vma,
    can_join,
)
from harness.workload.ops import Map, Memory, Remap


def map_pages(mm: Mm, op: Map, files: dict[Memory, File]) -> None:
    """mmap at a fixed address. Source: mm/mmap.c do_mmap(), mmap_region()."""
    end = op.page + op.pages
    if mm.limit is not None and mm.map_count > mm.limit:
        raise Refused(errno.ENOMEM)
    if not op.replace and mm.touches(op.page, end):
        raise Refused(errno.EEXIST)
    mm.unmap(op.page, end)
    flags = op.prot
    if op.noreserve:
        flags |= NORESERVE
    file, pgoff = None, op.page
    if op.memory is Memory.SHARED:
        file, pgoff = File(op.memory, op.pages), 0
    elif op.memory is not Memory.PRIVATE:
        file, pgoff = files[op.memory], op.from_page
    if op.memory in (Memory.SHARED, Memory.MEMFD, Memory.FILE):
        flags |= SHARED
    # mm/mmap.c accountable_mapping()
    if flags & (NORESERVE | SHARED | WRITE) == WRITE:
        flags |= ACCOUNT
    mm.insert(Vma(op.page, end, flags, file, pgoff, None, False))


def remap(mm: Mm, op: Remap, behaviour: Behaviour) -> None:
    """mremap. Source: mm/mremap.c, the system call and mremap_to()."""
    if op.keep and op.pages != op.new_pages:
        raise Refused(errno.EINVAL)
    if mm.lookup(op.page) is None:
        raise Refused(errno.EFAULT)
    if op.to is not None:
        _move_to(mm, op, op.to, behaviour)
    elif op.pages >= op.new_pages:
        if op.pages > op.new_pages:
            mm.unmap(op.page + op.new_pages, op.page + op.pages)
    else:
        _grow(mm, op)


def _grow(mm: Mm, op: Remap) -> None:
    at = _resizable(mm, op.page, op.pages)
    vma = mm.vmas[at]
    end, new_end = vma.end, op.page + op.new_pages
    if op.page + op.pages != end or mm.touches(end, new_end):
        raise Refused(errno.ENOMEM)
    # mm/vma.c vma_merge_extend(): the new range always merges with the VMA it extends.
    vma.end = new_end
    if at + 1 < len(mm.vmas) and mm.vmas[at + 1].start == new_end:
        join = can_join(vma, mm.vmas[at + 1])
        if join is Join.YES:
            mm.settle([new_end])
        elif join is Join.MAYBE:
            mm.maybe.add(new_end)
    if vma.flags & LOCKED:
        _populate_until_refused(mm, end, new_end)


def _move_to(mm: Mm, op: Remap, to: int, behaviour: Behaviour) -> None:
    page, old, new = op.page, op.pages, op.new_pages
    if page + old > to and to + new > page:
        raise Refused(errno.EINVAL)
    if mm.limit is not None and mm.map_count + 2 >= mm.limit - 3:
        raise Refused(errno.ENOMEM)
    mm.unmap(to, to + new)
    if old > new:
        mm.unmap(page + new, page + old)
        old = new
    at = _resizable(mm, page, old)
    if mm.at_limit(room=3):
        raise Refused(errno.ENOMEM)
    if op.keep and mm.vmas[at].flags & LOCKED:
        at = _cut_out(mm, at, page, page + old)
    source = mm.vmas[at]
    new_vma = source.part(page, page + old)
    new_vma.start, new_vma.end = to, to + new
    if source.file is None and not source.faulted:
        new_vma.pgoff = to
    apart: tuple[Vma, ...] = ()
    if op.keep and source.file is None and not source.faulted:
        apart = (source,)
        touching = to == source.end or to + new == source.start
        if behaviour.keeps_apart and touching:
            apart = tuple(mm.vmas)
    locked = source.flags & LOCKED
    whole = source.start, source.end
    mm.insert(new_vma, apart_from=apart)
    if op.keep:
        source.flags &= ~LOCKED
        if (source.start, source.end) == (page, page + old):
            source.faulted = False
            if source.file is None:
                source.pgoff = source.start
        return
    mm.unmap(page, page + old)
    if mm.maybe & {*whole}:
        # The kernel merges the copy before it unmaps the source. If they merged, the
        # rest of the source was part of the merged VMA (see ``kin``).
        left = [vma for vma in mm.vmas if whole[0] <= vma.start < whole[1]]
        mm.kin = dict.fromkeys(mm.maybe, left)
    if locked and new > old:
        _populate_until_refused(mm, to + old, to + new)


def _resizable(mm: Mm, page: int, pages: int) -> int:
    # mm/mremap.c vma_to_resize()
    at = mm.lookup(page)
    if at is None or pages > mm.vmas[at].end - page:
        raise Refused(errno.EFAULT)
    return at


def _cut_out(mm: Mm, at: int, start: int, end: int) -> int:
    if start > mm.vmas[at].start:
        mm.split_within_limit(at, start)
        at += 1
    if end < mm.vmas[at].end:
        mm.split_within_limit(at, end)
    return at


def _populate_until_refused(mm: Mm, start: int, end: int) -> None:
    try:
        populate(mm, start, end)
    except Refused:
        return


def set_break(mm: Mm, page: int, behaviour: Behaviour) -> None:
    """brk. Source: mm/mmap.c, the system call and do_brk_flags()."""
    if mm.brk is None or mm.start_brk is None or page < mm.start_brk:
        raise Refused(errno.ENOMEM)
    old = mm.brk
    if page < old:
        if not mm.touches(page, old):
            raise Refused(errno.ENOMEM)
        mm.unmap(page, old)
    elif page > old:
        # brk needs one free page above the new heap. There is no stack in the arena,
        # so its guard gap does not matter.
        full = mm.limit is not None and mm.map_count > mm.limit
        if mm.touches(old, page + 1) or full:
            raise Refused(errno.ENOMEM)
        _grow_heap(mm, old, page, behaviour)
    mm.brk = page


def _grow_heap(mm: Mm, old: int, page: int, behaviour: Behaviour) -> None:
    assert mm.start_brk is not None
    flags = READ | WRITE | ACCOUNT | (EXEC if behaviour.heap_exec else 0)
    new = Vma(old, page, flags, None, old, None, False)
    at = mm.find(old)
    previous = mm.vmas[at - 1] if at else None
    if previous and previous.end == old > mm.start_brk:
        join = can_join(previous, new)
        if join is Join.YES:
            previous.end = page
            return
        if join is Join.MAYBE:
            mm.maybe.add(old)
    mm.vmas.insert(at, new)
    mm.starts.insert(at, old)
