"""What kernels do differently: named facts, probed on each, never compared.

Each field says what the kernel was seen to do, and where its source says so.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a kernel answers where kernels differ.

    anon_shmem: shared anonymous memory and memfds can be named (6.2,
    d09e8ca6cb93; mm/madvise.c madvise_vma_anon_name()).
    heap_strict: memory that only touches the heap is not shown as [heap]
    (6.6, vma_is_initial_heap()).
    unaccounts: mprotect to read-only ends the accounting of anonymous memory
    that was never written (6.5, mm/mprotect.c mprotect_fixup()).
    keeps_apart: mremap that keeps its source lets the copy merge with nothing
    where it touches the source; else only not with the source (mm/mmap.c or
    mm/vma.c copy_vma()).
    heap_exec: brk makes executable memory (VM_DATA_DEFAULT_FLAGS).
    """

    anon_shmem: bool = True
    heap_strict: bool = True
    unaccounts: bool = True
    keeps_apart: bool = False
    heap_exec: bool = False


# What kernels of the bases do, where their source decides it: a kernel built from
# one that is seen to do otherwise has a bug, and must not pass for another's way.
OF_BASES: dict[str, dict[str, bool]] = {
    "6.1": {
        "anon_shmem": False, "heap_strict": False, "unaccounts": False,
        "keeps_apart": True,
    },
    "6.12": {
        "anon_shmem": True, "heap_strict": True, "unaccounts": True,
        "keeps_apart": False,
    },
}  # fmt: skip
