"""What names take of the kernel's memory: structs, bytes and slab objects.

The prediction for what a kernel really holds, after any trace. Where written
memory has merged (see ``mm``), which of two equal structs stayed is the
kernel's to say: their number is then not exact for the refcounted store.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from harness.errors import UsageError
from harness.model.names import NameStore
from harness.model.process import Model

# mm/slab_common.c kmalloc_info[]; names take at most 84 bytes.
_CLASSES = (8, 16, 32, 64, 96, 128, 192, 256)
# arch/arm64/include/asm/cache.h before 6.5: ARCH_DMA_MINALIGN bounds kmalloc.
_CLASSES_FROM_128 = (128, 256)


def slab_classes(arch: str, base: str) -> tuple[int, ...]:
    """The sizes of kmalloc's caches, as far as names need them."""
    early = [int(part) for part in base.split(".")[:2]] < [6, 5]
    return _CLASSES_FROM_128 if arch == "aarch64" and early else _CLASSES


def slab_class(size: int, classes: Iterable[int]) -> int:
    """The smallest class that ``size`` bytes fit in."""
    fitting = [each for each in classes if each >= size]
    if not fitting:
        raise UsageError(f"no slab class holds {size} bytes")
    return min(fitting)


@dataclass(frozen=True, slots=True)
class Account:
    """Live structs, references to them, bytes asked for, objects of each class."""

    structs: int
    references: int
    bytes_requested: int
    objects: dict[int, int]

    @property
    def bytes_allocated(self) -> int:
        """Bytes of the slab objects."""
        return sum(size * count for size, count in self.objects.items())


def account(store: NameStore, classes: Iterable[int]) -> Account:
    """What the names of a store take."""
    sizes = tuple(classes)
    objects = Counter(slab_class(name.size, sizes) for name in store.live)
    return Account(
        structs=len(store.live),
        references=sum(name.refs for name in store.live),
        bytes_requested=sum(name.size for name in store.live),
        objects=dict(sorted(objects.items())),
    )


@dataclass(frozen=True, slots=True)
class Held:
    """The name of one VMA: pages, the struct's text, its count, who else has it.

    ``struct`` numbers the structs in the order of processes and pages: two VMAs
    with the same number share one.
    """

    who: int
    start: int
    end: int
    text: bytes
    struct: int
    references: int


def held_names(model: Model) -> list[Held]:
    """Every named VMA of every process, in order."""
    numbers: dict[int, int] = {}
    found = []
    for who, mm in sorted(model.mms.items()):
        for vma in mm.vmas:
            if vma.name is None:
                continue
            struct = numbers.setdefault(id(vma.name), len(numbers))
            found.append(
                Held(who, vma.start, vma.end, vma.name.text, struct, vma.name.refs)
            )
    return found
