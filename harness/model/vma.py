"""A VMA of the model, and when two VMAs merge.

Pages are numbered from the start of the arena. Source: include/linux/mm_types.h,
mm/vma.c is_mergeable_vma(), is_mergeable_anon_vma() (6.1: mm/mmap.c).
"""

from enum import Enum

from harness.model.names import AnonName
from harness.workload.ops import FILE_PAGES, Memory

READ, WRITE, EXEC = 1, 2, 4
ACCESS = READ | WRITE | EXEC
SHARED = 8
NORESERVE, ACCOUNT, LOCKED = 0x10, 0x20, 0x40
DONTCOPY, WIPEONFORK, DONTDUMP = 0x80, 0x100, 0x200
SEQUENTIAL, RANDOM = 0x400, 0x800


class File:
    """The file of a mapping; each shared anonymous mapping has its own.

    ``pages`` is its length: a mapping has no pages past the end of its file.
    """

    __slots__ = ("memory", "pages")

    def __init__(self, memory: Memory, pages: int = FILE_PAGES) -> None:
        self.memory = memory
        self.pages = pages

    @property
    def can_be_anon_shmem(self) -> bool:
        """Whether it has no path, so that it can be named ``anon_shmem``.

        Source: mm/shmem.c vma_is_anon_shmem().
        """
        return self.memory not in (Memory.FILE, Memory.FILE_PRIVATE)


class Vma:
    """A VMA from page ``start`` to before page ``end``.

    ``pgoff`` is the page offset of ``start`` in its file; without a file, in the mm.
    ``faulted``: it has an anon_vma, because one of its private pages was written.
    """

    __slots__ = ("end", "faulted", "file", "flags", "name", "pgoff", "start")

    def __init__(
        self,
        start: int,
        end: int,
        flags: int,
        file: File | None,
        pgoff: int,
        name: AnonName | None,
        faulted: bool,
    ) -> None:
        self.start = start
        self.end = end
        self.flags = flags
        self.file = file
        self.pgoff = pgoff
        self.name = name
        self.faulted = faulted

    def has(self, page: int) -> bool:
        """Whether a page of this VMA exists: its file may be shorter."""
        at = self.pgoff + page - self.start
        return self.file is None or at < self.file.pages

    def part(self, start: int, end: int) -> "Vma":
        """A VMA like this one over a part of it.

        It has the same name, but takes no reference to it.
        """
        return Vma(
            start, end, self.flags, self.file, self.pgoff + start - self.start,
            self.name, self.faulted,
        )  # fmt: skip


class Join(Enum):
    """Whether the kernel merges two adjacent VMAs when one of them changes."""

    NO = 0
    MAYBE = 1
    YES = 2


def same_name(one: AnonName | None, other: AnonName | None) -> bool:
    """Whether two VMAs have equal names, or both have none.

    Source: include/linux/mm_inline.h anon_vma_name_eq().
    """
    if one is other:
        return True
    return one is not None and other is not None and one.text == other.text


def can_join(left: Vma, right: Vma) -> Join:
    """Whether two adjacent VMAs can merge.

    MAYBE if one of them was written: then the kernel compares their anon_vmas,
    and the model has none.
    """
    if (
        left.flags != right.flags
        or left.file is not right.file
        or left.pgoff + left.end - left.start != right.pgoff
        or not same_name(left.name, right.name)
    ):
        return Join.NO
    return Join.MAYBE if left.faulted or right.faulted else Join.YES
