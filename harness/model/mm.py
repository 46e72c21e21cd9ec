"""An mm of the model: ordered VMAs, and how they are split, changed and merged.

The model is exact for memory that was never written. For written memory it cannot
know whether the kernel merges: it does not merge, but adds the page to ``maybe``.
``settle`` later makes the merges that the kernel made.
Source: mm/vma.c __split_vma(), vma_modify(), vma_merge_existing_range(),
vma_merge_new_range(), vms_gather_munmap_vmas() (6.1: mm/mmap.c vma_merge(),
do_mas_align_munmap()).
"""

import errno
from bisect import bisect_right
from collections.abc import Collection

from harness.model.names import AnonName, NameStore
from harness.model.vma import DONTCOPY, LOCKED, WIPEONFORK, Join, Vma, can_join


class Refused(Exception):
    """The kernel refuses the call with an errno; earlier changes of the call stay."""

    def __init__(self, code: int) -> None:
        super().__init__(errno.errorcode[code])
        self.code = code


class Mm:
    """The VMAs of an arena.

    ``limit`` is the largest number of VMAs that the arena may have: vm.max_map_count
    less the VMAs outside it. ``maybe`` holds the pages where the last call may have
    merged two VMAs. ``kin`` has, for such a page, the VMAs that belonged to the merged
    VMA if the merge happened: they are then ``faulted`` if it is.
    """

    def __init__(self, store: NameStore) -> None:
        self.store = store
        self.vmas: list[Vma] = []
        self.starts: list[int] = []
        self.limit: int | None = None
        self.start_brk: int | None = None
        self.brk: int | None = None
        self.maybe: set[int] = set()
        self.kin: dict[int, list[Vma]] = {}

    @property
    def map_count(self) -> int:
        """The number of VMAs."""
        return len(self.vmas)

    def find(self, page: int) -> int:
        """The index of the first VMA that ends above a page (find_vma)."""
        at = bisect_right(self.starts, page) - 1
        return at if at >= 0 and self.vmas[at].end > page else at + 1

    def lookup(self, page: int) -> int | None:
        """The index of the VMA that contains a page, or None (vma_lookup)."""
        at = bisect_right(self.starts, page) - 1
        return at if at >= 0 and self.vmas[at].end > page else None

    def touches(self, start: int, end: int) -> bool:
        """Whether anything is mapped in a range."""
        at = self.find(start)
        return at < len(self.vmas) and self.vmas[at].start < end

    def modify(
        self, at: int, start: int, end: int, flags: int, name: AnonName | None
    ) -> int:
        """Set flags and name of a part of a VMA; the index of the VMA it is then in.

        Merges with a neighbour if possible, else splits. At the limit a split is
        refused (ENOMEM); a split at ``start`` may then already be made.
        Source: mm/vma.c vma_modify().
        """
        vmas = self.vmas
        vma = vmas[at]
        # A neighbour with other flags cannot merge.
        before = after = None
        if start == vma.start and at and vmas[at - 1].flags == flags:
            before = vmas[at - 1]
        if end == vma.end and at + 1 < len(vmas) and vmas[at + 1].flags == flags:
            after = vmas[at + 1]
        if before or after:
            left = right = Join.NO
            part = vma.part(start, end)
            part.flags, part.name = flags, name
            if before and before.end == start:
                left = can_join(before, part)
            if after and after.start == end:
                right = can_join(part, after)
            left, right = self._decided(left, right, start, end)
            if left is Join.YES or right is Join.YES:
                return self._merge(at, start, end, left, right)
        if start > vma.start:
            self.split_within_limit(at, start)
            at += 1
        vma = vmas[at]
        if end < vma.end:
            self.split_within_limit(at, end)
        vma.flags = flags
        if vma.name is not name:
            self._rename(vma, name)
        return at

    def insert(self, new: Vma, *, apart_from: Collection[Vma] = ()) -> int:
        """Add a VMA in a free range and merge it with its neighbours; its index.

        ``new`` holds no reference to ``new.name`` yet. It merges with none of
        ``apart_from``.
        """
        at = self.find(new.start)
        left = right = Join.NO
        before = self.vmas[at - 1] if at else None
        after = self.vmas[at] if at < len(self.vmas) else None
        if before and before.end == new.start and before not in apart_from:
            left = can_join(before, new)
        if after and after.start == new.end and after not in apart_from:
            right = can_join(new, after)
        left, right = self._decided(left, right, new.start, new.end)
        if left is Join.YES:
            self.vmas[at - 1].end = new.end
            if right is Join.YES:
                self.vmas[at - 1].end = self.vmas[at].end
                self.remove(at)
            return at - 1
        if right is Join.YES:
            self._begin_at(at, new.start)
            return at
        new.name = self.store.dup(new.name)
        self.vmas.insert(at, new)
        self.starts.insert(at, new.start)
        return at

    def unmap(self, start: int, end: int) -> None:
        """munmap. ENOMEM only if it makes a hole in one VMA at the limit."""
        at = self.find(start)
        if at == len(self.vmas) or self.vmas[at].start >= end:
            return
        if start > self.vmas[at].start:
            if end < self.vmas[at].end and self.at_limit():
                raise Refused(errno.ENOMEM)
            self.split(at, start)
            at += 1
        last = at
        while last < len(self.vmas) and self.vmas[last].start < end:
            if self.vmas[last].end > end:
                self.split(last, end)
            last += 1
        for vma in self.vmas[at:last]:
            self.store.put(vma.name)
        del self.vmas[at:last]
        del self.starts[at:last]

    def split(self, at: int, page: int) -> None:
        """Split a VMA at a page; the limit is not checked."""
        vma = self.vmas[at]
        upper = vma.part(page, vma.end)
        upper.name = self.store.dup(vma.name)
        vma.end = page
        self.vmas.insert(at + 1, upper)
        self.starts.insert(at + 1, page)

    def split_within_limit(self, at: int, page: int) -> None:
        """Split a VMA at a page; ENOMEM at the limit."""
        if self.at_limit():
            raise Refused(errno.ENOMEM)
        self.split(at, page)

    def at_limit(self, *, room: int = 0) -> bool:
        """Whether the number of VMAs has reached the limit less ``room``."""
        return self.limit is not None and len(self.vmas) >= self.limit - room

    def remove(self, at: int) -> None:
        """Remove a VMA."""
        self.store.put(self.vmas[at].name)
        del self.vmas[at]
        del self.starts[at]

    def clear(self) -> None:
        """Remove all VMAs, as exit and exec do."""
        for vma in self.vmas:
            self.store.put(vma.name)
        self.vmas.clear()
        self.starts.clear()

    def forked(self) -> "Mm":
        """The copy that fork makes for a child. Source: kernel/fork.c dup_mmap()."""
        child = Mm(self.store)
        child.limit, child.start_brk, child.brk = self.limit, self.start_brk, self.brk
        for vma in self.vmas:
            if vma.flags & DONTCOPY:
                continue
            copy = vma.part(vma.start, vma.end)
            copy.name = self.store.dup(vma.name)
            copy.flags &= ~LOCKED
            copy.faulted = vma.faulted and not vma.flags & WIPEONFORK
            child.vmas.append(copy)
            child.starts.append(copy.start)
        return child

    def settle(self, pages: Collection[int]) -> None:
        """Make the merges at these pages, because the kernel made them.

        A page is skipped if no VMA ends there any more, for example because mremap
        moved it away: then there is nothing to merge.
        """
        for page in pages:
            at = self.find(page)
            if not at or self.vmas[at - 1].end != page:
                continue
            self.vmas[at - 1].end = self.vmas[at].end
            self.vmas[at - 1].faulted |= self.vmas[at].faulted
            self.remove(at)
        for page in pages:
            merged = self.vmas[self.find(page)]
            for vma in self.kin.get(page, ()):
                vma.faulted |= merged.faulted

    def _decided(
        self, left: Join, right: Join, start: int, end: int
    ) -> tuple[Join, Join]:
        # With written memory involved, the kernel may merge on either side, on both
        # or not at all.
        if Join.MAYBE in (left, right):
            if left is not Join.NO:
                self.maybe.add(start)
            if right is not Join.NO:
                self.maybe.add(end)
            return Join.NO, Join.NO
        return left, right

    def _merge(self, at: int, start: int, end: int, left: Join, right: Join) -> int:
        vma = self.vmas[at]
        whole = start == vma.start and end == vma.end
        if left is Join.YES:
            previous = self.vmas[at - 1]
            previous.end = end
            if right is Join.YES:
                previous.end = self.vmas[at + 1].end
                self.remove(at + 1)
            if whole:
                self.remove(at)
            else:
                self._begin_at(at, end)
            return at - 1
        self._begin_at(at + 1, start)
        if whole:
            self.remove(at)
            return at
        vma.end = start
        return at + 1

    def _begin_at(self, at: int, page: int) -> None:
        vma = self.vmas[at]
        vma.pgoff += page - vma.start
        vma.start = self.starts[at] = page

    def _rename(self, vma: Vma, name: AnonName | None) -> None:
        # mm/madvise.c replace_anon_vma_name()
        if vma.name is name or (
            vma.name is not None and name is not None and vma.name.text == name.text
        ):
            return
        old = vma.name
        vma.name = self.store.dup(name)
        self.store.put(old)
