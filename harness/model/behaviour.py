"""Where correct kernels differ: each difference has a name and is probed.

The model follows the answers of the probes, so these differences are not
divergences. Each field names the place in the kernel's source.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a kernel behaves where kernels differ.

    anon_shmem: shared anonymous memory and memfds can be named (since 6.2,
    d09e8ca6cb93; mm/madvise.c madvise_vma_anon_name()).
    heap_strict: memory that only touches the heap is not shown as [heap]
    (since 6.6, vma_is_initial_heap()).
    unaccounts: mprotect to read-only clears VM_ACCOUNT of anonymous memory
    that was never written (since 6.5, mm/mprotect.c mprotect_fixup()).
    keeps_apart: mremap with MREMAP_DONTUNMAP; its copy touches its source. True: the
    copy merges with no VMA. False: it may merge with any VMA except the source
    (mm/mmap.c or mm/vma.c copy_vma()).
    heap_exec: brk makes executable memory (VM_DATA_DEFAULT_FLAGS).
    """

    anon_shmem: bool = True
    heap_strict: bool = True
    unaccounts: bool = True
    keeps_apart: bool = False
    heap_exec: bool = False


# What the source of each base determines. A kernel that was built from a base and
# behaves differently has a bug: without this table, the model would follow the probe.
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
