"""Anonymous names and the two ways to keep them, behind one interface.

What differs between the stores is how many structs are alive, never what a
VMA is called. Source: include/linux/mm_inline.h anon_vma_name_reuse(),
dup_anon_vma_name(), free_anon_vma_name(); mm/madvise.c anon_vma_name_alloc();
commits 78db3412833d (reference counts) and 96403e11283d (the saturation guard).
"""

from abc import ABC, abstractmethod

# include/linux/refcount.h: sharing stops here, long before saturation.
REFCOUNT_MAX = 0x7FFFFFFF


class AnonName:
    """struct anon_vma_name: a text and the count of its references."""

    __slots__ = ("refs", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.refs = 1

    @property
    def size(self) -> int:
        """Bytes that are asked for: the count, the text and its NUL byte."""
        return 4 + len(self.text) + 1


class NameStore(ABC):
    """Where names live; ``live`` are the structs that are not freed."""

    def __init__(self) -> None:
        self.live: set[AnonName] = set()
        self.allocated = 0

    def alloc(self, text: bytes) -> AnonName:
        """A new struct with one reference."""
        name = AnonName(text)
        self.live.add(name)
        self.allocated += 1
        return name

    @abstractmethod
    def reuse(self, name: AnonName) -> AnonName:
        """What one more VMA of that name points to."""

    def dup(self, name: AnonName | None) -> AnonName | None:
        """What a copy of a VMA points to."""
        return None if name is None else self.reuse(name)

    def put(self, name: AnonName | None) -> None:
        """A reference less; the last one frees the struct."""
        if name is None:
            return
        name.refs -= 1
        if name.refs == 0:
            self.live.remove(name)


class RefcountedStore(NameStore):
    """VMAs share a struct, until its count is at its most."""

    def reuse(self, name: AnonName) -> AnonName:
        """The same struct, or a copy where the count must not grow."""
        if name.refs < REFCOUNT_MAX:
            name.refs += 1
            return name
        return self.alloc(name.text)


class StrdupStore(NameStore):
    """Every VMA has a struct of its own."""

    def reuse(self, name: AnonName) -> AnonName:
        """A copy."""
        return self.alloc(name.text)
