"""How much kernel memory the names of a model take: structs, bytes, slab objects.

This predicts what a kernel holds after a trace. If written memory has merged (see
``mm``), the kernel decides which of two equal structs it keeps: for the refcounted
store the number of structs is then not exact.
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
    """The sizes of the kmalloc caches that names may come from."""
    early = [int(part) for part in base.split(".")[:2]] < [6, 5]
    return _CLASSES_FROM_128 if arch == "aarch64" and early else _CLASSES


def slab_class(size: int, classes: Iterable[int]) -> int:
    """The smallest class that ``size`` bytes fit in."""
    fitting = [each for each in classes if each >= size]
    if not fitting:
        raise UsageError(f"no slab class holds {size} bytes")
    return min(fitting)


@dataclass(frozen=True, slots=True)
class NameMemory:
    """Live structs, references to them, requested bytes, slab objects by class."""

    structs: int
    references: int
    bytes_requested: int
    objects: dict[int, int]


def memory_of_names(store: NameStore, classes: Iterable[int]) -> NameMemory:
    """The memory that the names of a store take."""
    sizes = tuple(classes)
    objects = Counter(slab_class(name.size, sizes) for name in store.live)
    return NameMemory(
        structs=len(store.live),
        references=sum(name.refs for name in store.live),
        bytes_requested=sum(name.size for name in store.live),
        objects=dict(sorted(objects.items())),
    )


@dataclass(frozen=True, slots=True)
class NamedVma:
    """One named VMA: its process and pages, and the text and count of its struct.

    ``struct`` numbers the structs in the order of processes and pages. Two VMAs
    with the same number share a struct.
    """

    who: int
    start: int
    end: int
    text: bytes
    struct: int
    references: int


def named_vmas(model: Model) -> list[NamedVma]:
    """Every named VMA of every process, in the order of processes and pages."""
    numbers: dict[int, int] = {}
    found = []
    for who, mm in sorted(model.mms.items()):
        for vma in mm.vmas:
            if vma.name is None:
                continue
            struct = numbers.setdefault(id(vma.name), len(numbers))
            found.append(
                NamedVma(who, vma.start, vma.end, vma.name.text, struct, vma.name.refs)
            )
    return found
