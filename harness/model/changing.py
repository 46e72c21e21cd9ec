"""The calls that change existing VMAs: prctl, mprotect, madvise, mlock, a write.

Each takes an mm, a range of pages and the change. If the kernel would refuse the
call, it raises ``Refused``; what it changed before that stays changed.
"""

import errno
from collections.abc import Callable

from harness.model.behaviour import Behaviour
from harness.model.mm import Mm, Refused
from harness.model.vma import (
    ACCESS,
    ACCOUNT,
    DONTCOPY,
    DONTDUMP,
    LOCKED,
    NORESERVE,
    RANDOM,
    SEQUENTIAL,
    SHARED,
    WIPEONFORK,
    WRITE,
    Vma,
    same_name,
)
from harness.workload.naming import MAX_NAME
from harness.workload.ops import PAGE, Advice, Pointer, SetName

# mm/madvise.c is_valid_name_char(): printable ASCII except \ ` $ [ ]
NAME_BYTES = bytes(byte for byte in range(0x20, 0x7F) if byte not in b"\\`$[]")

Visit = Callable[[int, int, int], int]


def set_name(mm: Mm, op: SetName, behaviour: Behaviour) -> None:
    """prctl(PR_SET_VMA). Source: kernel/sys.c prctl_set_vma(), mm/madvise.c."""
    if op.attr != 0:
        raise Refused(errno.EINVAL)
    text = name_of(op)
    name = None if text is None else mm.store.alloc(text)
    try:
        # Rounding a length near 2^64 up to pages gives 0, or start + length overflows.
        if op.offset or op.length >= 1 << 63:
            raise Refused(errno.EINVAL)
        pages = -(-op.length // PAGE)
        if not pages:
            return

        def visit(at: int, start: int, end: int) -> int:
            vma = mm.vmas[at]
            if vma.file is not None and not (
                behaviour.anon_shmem and vma.file.can_be_anon_shmem
            ):
                raise Refused(errno.EBADF)
            if same_name(vma.name, name):
                return at
            try:
                return mm.modify(at, start, end, vma.flags, name)
            except Refused:
                raise Refused(errno.EAGAIN) from None

        walk(mm, op.page, op.page + pages, visit)
    finally:
        mm.store.put(name)


def name_of(op: SetName) -> bytes | None:
    """The name that the kernel reads for a call, None for NULL; or raise Refused.

    Source: mm/util.c strndup_user(): 80 bytes without a NUL are too long, even if
    the byte after them cannot be read.
    """
    if op.name is Pointer.NULL:
        return None
    if op.name is Pointer.BAD:
        raise Refused(errno.EFAULT)
    text = op.name.encode("latin-1")
    if len(text) > MAX_NAME:
        raise Refused(errno.EINVAL)
    if op.edge:
        raise Refused(errno.EFAULT)
    if text.translate(None, NAME_BYTES):
        raise Refused(errno.EINVAL)
    return text


def walk(mm: Mm, start: int, end: int, visit: Visit) -> None:
    """Visit every VMA in a range; after all of them, ENOMEM if there was a hole.

    ``visit`` takes the index of a VMA and the part of it that is in the range. It
    returns the index of the VMA that this part belongs to afterwards.
    Source: mm/madvise.c madvise_walk_vmas().
    """
    at = mm.find(start)
    hole = False
    while True:
        if at >= len(mm.vmas):
            raise Refused(errno.ENOMEM)
        vma = mm.vmas[at]
        if start < vma.start:
            hole, start = True, vma.start
            if start >= end:
                break
        stop = vma.end if vma.end < end else end
        at = visit(at, start, stop)
        after = mm.vmas[at].end
        start = after if after > stop else stop
        if start >= end:
            break
        at += 1
    if hole:
        raise Refused(errno.ENOMEM)


def protect(mm: Mm, start: int, end: int, prot: int, behaviour: Behaviour) -> None:
    """mprotect. Source: mm/mprotect.c do_mprotect_pkey(), mprotect_fixup()."""

    def visit(at: int, start: int, end: int) -> int:
        vma = mm.vmas[at]
        old = vma.flags
        new = old & ~ACCESS | prot
        if new == old:
            return at
        if new & WRITE:
            if not old & (ACCOUNT | WRITE | SHARED | NORESERVE):
                new |= ACCOUNT
        elif (
            behaviour.unaccounts
            and old & ACCOUNT
            and vma.file is None
            and not vma.faulted
        ):
            new &= ~ACCOUNT
        at = mm.modify(at, start, end, new, vma.name)
        if new & WRITE and old & (WRITE | SHARED | LOCKED) == LOCKED:
            mm.vmas[at].faulted = True
        return at

    _each(mm, start, end, visit)


def advise(mm: Mm, start: int, end: int, advice: Advice) -> None:
    """madvise. Source: mm/madvise.c madvise_vma_behavior(), madvise_dontneed_free()."""

    def visit(at: int, start: int, end: int) -> int:
        vma = mm.vmas[at]
        if advice is Advice.DONTNEED:
            if vma.flags & LOCKED:
                raise Refused(errno.EINVAL)
            return at
        flags = _advised(vma, advice)
        if flags == vma.flags:
            return at
        try:
            return mm.modify(at, start, end, flags, vma.name)
        except Refused:
            raise Refused(errno.EAGAIN) from None

    walk(mm, start, end, visit)


_ADVISED = {
    Advice.NORMAL: (RANDOM | SEQUENTIAL, 0),
    Advice.RANDOM: (SEQUENTIAL, RANDOM),
    Advice.SEQUENTIAL: (RANDOM, SEQUENTIAL),
    Advice.DONTFORK: (0, DONTCOPY),
    Advice.DOFORK: (DONTCOPY, 0),
    Advice.DONTDUMP: (0, DONTDUMP),
    Advice.DODUMP: (DONTDUMP, 0),
    Advice.WIPEONFORK: (0, WIPEONFORK),
    Advice.KEEPONFORK: (WIPEONFORK, 0),
}


def _advised(vma: Vma, advice: Advice) -> int:
    if advice is Advice.WIPEONFORK and vma.file is not None:
        raise Refused(errno.EINVAL)
    less, more = _ADVISED[advice]
    return vma.flags & ~less | more


def lock(mm: Mm, start: int, end: int) -> None:
    """mlock: set the flag, then fault in every page. Source: mm/mlock.c do_mlock()."""
    _lock_flags(mm, start, end, LOCKED)
    populate(mm, start, end)


def unlock(mm: Mm, start: int, end: int) -> None:
    """munlock. Source: mm/mlock.c apply_vma_lock_flags()."""
    _lock_flags(mm, start, end, 0)


def _lock_flags(mm: Mm, start: int, end: int, flag: int) -> None:
    def visit(at: int, start: int, end: int) -> int:
        vma = mm.vmas[at]
        flags = vma.flags & ~LOCKED | flag
        if flags == vma.flags:
            return at
        return mm.modify(at, start, end, flags, vma.name)

    _each(mm, start, end, visit)


def populate(mm: Mm, start: int, end: int) -> None:
    """Fault in every mapped page; writable private memory is faulted by a write.

    ENOMEM at the first VMA that is not accessible.
    Source: mm/gup.c populate_vma_page_range().
    """
    at = mm.find(start)
    while at < len(mm.vmas) and mm.vmas[at].start < end:
        vma = mm.vmas[at]
        if vma.flags & (WRITE | SHARED) == WRITE:
            vma.faulted = True
        if not vma.flags & ACCESS or not vma.has(min(end, vma.end) - 1):
            raise Refused(errno.ENOMEM)
        at += 1


def write(mm: Mm, start: int, end: int) -> None:
    """Write a byte to each page. Source: mm/memory.c handle_mm_fault()."""
    for page in range(start, end):
        at = mm.lookup(page)
        if at is None or not (mm.vmas[at].flags & WRITE and mm.vmas[at].has(page)):
            raise Refused(errno.EFAULT)
        if not mm.vmas[at].flags & SHARED:
            mm.vmas[at].faulted = True


def _each(mm: Mm, start: int, end: int, visit: Visit) -> None:
    # mprotect and mlock stop at a hole; the VMAs before it are changed.
    at = mm.lookup(start)
    if at is None:
        raise Refused(errno.ENOMEM)
    while True:
        at = visit(at, start, min(end, mm.vmas[at].end))
        start = mm.vmas[at].end
        if start >= end:
            return
        at += 1
        if at == len(mm.vmas) or mm.vmas[at].start != start:
            raise Refused(errno.ENOMEM)
