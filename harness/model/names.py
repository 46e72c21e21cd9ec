"""Anonymous names and the two ways to store them, behind one interface.

The stores differ in how many structs are alive, never in the name of a VMA.
Source: include/linux/mm_inline.h anon_vma_name_reuse(),
dup_anon_vma_name(), free_anon_vma_name(); mm/madvise.c anon_vma_name_alloc();
commits 78db3412833d (reference counts) and 96403e11283d (the saturation guard).
"""

from abc import ABC, abstractmethod

# At this count a struct is no longer shared, long before the counter saturates
# (include/linux/refcount.h).
REFCOUNT_MAX = 0x7FFFFFFF


class AnonName:
    """struct anon_vma_name: a text and its reference count."""

    __slots__ = ("refs", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.refs = 1

    @property
    def size(self) -> int:
        """Bytes that the kernel requests: the count, the text and its NUL byte."""
        return 4 + len(self.text) + 1


class NameStore(ABC):
    """Allocates and frees names.

    ``live`` holds the structs that are not freed; ``allocated`` counts all that
    were ever allocated.
    """

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
        """The struct that one more VMA with this name points to."""

    def dup(self, name: AnonName | None) -> AnonName | None:
        """The struct that a copy of a VMA points to; None if it has no name."""
        return None if name is None else self.reuse(name)

    def put(self, name: AnonName | None) -> None:
        """Drop a reference; dropping the last one frees the struct."""
        if name is None:
            return
        name.refs -= 1
        if name.refs == 0:
            self.live.remove(name)


class RefcountedStore(NameStore):
    """VMAs with one name share a struct, until its count is REFCOUNT_MAX."""

    def reuse(self, name: AnonName) -> AnonName:
        """The same struct, or a copy if its count is REFCOUNT_MAX."""
        if name.refs < REFCOUNT_MAX:
            name.refs += 1
            return name
        return self.alloc(name.text)


class StrdupStore(NameStore):
    """Every VMA has its own struct."""

    def reuse(self, name: AnonName) -> AnonName:
        """A copy."""
        return self.alloc(name.text)
