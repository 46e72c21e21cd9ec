"""What is known of the kernel, a row at a time, and which rows can be run.

A row is one statement on naming memory: its section, its text, and, where no
test of this folder can hold it against a kernel, the reason. A test says which
row is its own with ``@row(section, text)``; tests/test_rows.py compares.
"""

from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Row:
    """One statement.

    ``cannot`` is why no test runs it, and ``needs`` what not every kernel has,
    without which its test says so and is skipped; both empty for most.
    """

    section: str
    text: str
    cannot: str = ""
    needs: str = ""

    def __str__(self) -> str:
        return f"{self.section}: {self.text}"


def row(section: str, text: str) -> pytest.MarkDecorator:
    """The decorator of a row's test: puts the row into the test's id."""
    own = Row(section, text)
    return pytest.mark.parametrize("of_row", [own], ids=str, indirect=True)


@dataclass(frozen=True, slots=True)
class _Cannot:
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class _Needs:
    text: str
    what: str


def _rows(section: str, *rows: str | _Cannot | _Needs) -> tuple[Row, ...]:
    def made(row: str | _Cannot | _Needs) -> Row:
        match row:
            case _Cannot(text, why):
                return Row(section, text, cannot=why)
            case _Needs(text, what):
                return Row(section, text, needs=what)
            case str(text):
                return Row(section, text)

    return tuple(made(row) for row in rows)


_FAULTS = "an allocation has to fail: no fault injection built in"
_NUMA = "CONFIG_NUMA"
_QUERY = "PROCMAP_QUERY: Linux 6.11"
_NAMELESS = "takes a kernel without names: tests/guest"

CHECKS = _rows(
    "2.1",
    "option is cut to an int",
    "attr is a whole long",
    _Cannot("an LSM is asked first", "no LSM is built in"),
    _Cannot("EINVAL without CONFIG_ANON_VMA_NAME", _NAMELESS),
    "EINVAL for an attr other than 0",
    "EFAULT for a name unreadable before its NUL",
    "EFAULT for a name pointer outside user space",
    "EINVAL for 80 readable bytes, the 81st unmapped",
    _Cannot("ENOMEM where the name can't be copied in", _FAULTS),
    "EINVAL for a byte that is not allowed",
    _Cannot("ENOMEM where no name can be allocated", _FAULTS),
    _Cannot("the lock is taken before the range is checked", "not seen from outside"),
    "EINVAL for an address inside a page",
    "size is rounded up to whole pages",
    "EINVAL for a size that rounds up to 0",
    "EINVAL for a range that wraps",
    "EINVAL for a range that ends at 2^64",
    "0 for size 0, mapped or not",
    _Cannot(
        "EINTR for the lock", "Linux 6.17 and later, and only a dying task sees it"
    ),
    "no capability is needed",
    "the caller's own memory only",
    "a wrong attr beats a bad pointer",
    "a bad pointer beats a bad byte before it",
    "a bad pointer beats a bad address",
    "a bad pointer beats size 0",
    "a bad byte beats size 0",
    "a name too long beats size 0",
    "a bad byte beats unmapped memory",
    "a bad address beats size 0",
    "a bad address beats unmapped memory",
    "a bad size beats unmapped memory",
    "a huge size names all that follows, then ENOMEM",
    "a huge size stops at the first file with EBADF",
)

WALK = _rows(
    "2.2",
    "ENOMEM for a range entirely unmapped",
    "ENOMEM above all VMAs",
    "ENOMEM for the page of [vsyscall]",
    "ENOMEM for a non-canonical address",
    "a hole at the start",
    "a hole in the middle",
    "a hole at the end",
    "several holes",
    "EBADF at a file: VMAs before it are named",
    "EBADF beats a hole before it",
    "EAGAIN where the limit forbids the front split",
    "EAGAIN where the limit forbids the tail split: the front split stays",
    "EAGAIN: VMAs before the refused one stay named",
    _Cannot("EAGAIN where a split can't be allocated", _FAULTS),
    _Needs(
        "EINVAL for a part of a mapping that may not be split",
        "a [vdso] or [vvar] of two pages: not uml",
    ),
    "NULL clears",
    "NULL: EBADF at a file",
    "NULL: ENOMEM for a hole",
    "NULL on unnamed memory is 0",
    "the name that is there already: nothing happens",
    "the name that is there already is 0 at the limit",
    "one call merges all that it names alike",
    "merges with the VMA before",
    "merges with the VMA after",
    "merges with both",
    "splits in front, behind, and both",
    "a merge needs no room below the limit",
)

BYTES = _rows(
    "2.3",
    "each of the 255 bytes is allowed or refused",
    "each refused byte is refused anywhere in the name",
    "spaces may stand anywhere",
    "79 bytes are allowed, 80 are not",
    "the empty string is a name",
    "the empty string does not merge with unnamed memory",
    "no UTF-8",
    "punctuation that is allowed",
    "nothing after the NUL is looked at",
)

MAPPINGS = _rows(
    "2.4",
    "private anonymous memory of any protection",
    "MAP_GROWSDOWN, MAP_STACK and MAP_NORESERVE",
    ".bss",
    "MAP_SHARED|MAP_ANONYMOUS",
    "/dev/zero shared",
    "/dev/zero private",
    "memfd shared",
    "memfd private",
    "a tmpfs file unlinked before it was mapped",
    "a tmpfs file",
    "a tmpfs file unlinked after it was mapped",
    "a regular file",
    "private pages of a file, written to",
    _Needs("SysV shared memory", "CONFIG_SYSVIPC"),
    _Needs("MAP_HUGETLB", "CONFIG_HUGETLB_PAGE"),
    "[heap]",
    "[stack]",
    "[vdso] and its like, whole",
    _Needs("a part of [vdso] and its like", "a [vdso] or [vvar] of two pages: not uml"),
    _Cannot("[vsyscall]", "of x86-64 only, not of uml; ENOMEM there is a row of 2.2"),
    _Needs("mseal()ed memory", "mseal(): Linux 6.10"),
)

MERGES = _rows(
    "2.5",
    "names are compared as text",
    "NULL is not the empty string",
    "only adjacent VMAs merge",
    "other permissions do not merge",
    "other files do not merge",
    "parts of one shared mapping merge again",
    "other userfaultfds do not merge",
    _Needs("other mempolicies do not merge", _NUMA),
    _Cannot("VM_SPECIAL does not merge", "takes a driver's mapping"),
    _Cannot("a vm_ops with close() does not merge on 6.1", "takes a driver's mapping"),
    _Needs("VM_SOFTDIRTY is ignored", "CONFIG_MEM_SOFT_DIRTY"),
    "untouched memory merges by flags and name alone",
    "untouched memory merges where it is moved to",
    "touched memory moved elsewhere does not merge there",
    "touched memory moved back merges",
    "a touched range and its untouched neighbours",
    "an untouched range and its touched neighbour",
    "VMAs touched one after the other share an anon_vma",
    "touched memory from before a fork does not merge",
    "untouched memory from before a fork merges",
    "two touched neighbours: one of them is joined",
    "VM_ACCOUNT is kept after mprotect where touched",
    "VM_ACCOUNT of untouched memory after mprotect, as the kernel has it",
    "VM_LOCKED is a flag",
    "VM_DONTCOPY is a flag",
    "VM_WIPEONFORK is a flag",
    "VM_DONTDUMP is a flag",
    _Needs("VM_NOHUGEPAGE is a flag", "CONFIG_TRANSPARENT_HUGEPAGE"),
    "VM_NORESERVE is a flag",
    "VM_GROWSDOWN is a flag",
)

CALLS = _rows(
    "2.6",
    "mprotect of a part",
    "mlock of a part",
    "madvise of a part",
    "munmap of the middle",
    "mmap beside a named VMA",
    "mmap beside an unnamed VMA",
    "MAP_FIXED over a named VMA",
    "brk beyond a named heap",
    "brk beyond an unnamed heap",
    "mremap moves",
    "mremap grows in place",
    "mremap shrinks",
    "MREMAP_DONTUNMAP",
    "MADV_DONTNEED and MADV_FREE",
    "MADV_DONTFORK",
    "MADV_WIPEONFORK",
    "fork",
    "renaming in a child",
    _Cannot(
        "fork shares the parent's names", "kernel's memory: tests/kernel/test_workload"
    ),
    "a thread",
    "CLONE_VM and CLONE_VFORK",
    "execve",
    "smaps shows it, smaps_rollup does not",
    _Cannot("a core dump does not show it", "CONFIG_COREDUMP is not built in"),
    _Needs("numa_maps does not show it", _NUMA),
)

DISPLAY = _rows(
    "2.7",
    "a name begins at column 73, and nothing follows it",
    "an unnamed line ends with a space",
    "names are not escaped",
    "the longest are 86 and 92 characters",
    "memory that ends or begins where the heap does",
    "memory a page away from the heap",
    "[stack] is the VMA of the stack's first page only",
    "smaps has the line of maps, and no Name",
    _Needs("PROCMAP_QUERY tells the text and its size", _QUERY),
    _Needs("PROCMAP_QUERY with too small a buffer: ENAMETOOLONG", _QUERY),
    _Needs("PROCMAP_QUERY where nothing is: ENOENT", _QUERY),
    "a file's path keeps its blanks, and only a newline is escaped",
)

LIMITS = _rows(
    "2.8",
    "vm.max_map_count is 65530",
    "any process's limit, and root's to change",
    "naming a part at the limit: EAGAIN",
    "mprotect of a part at the limit: ENOMEM",
    "munmap of the middle at the limit: ENOMEM",
    "munmap of an edge at the limit",
    "mlock of a part at the limit: ENOMEM",
    "madvise of a part at the limit: EAGAIN",
    "mmap reaches the limit plus 1",
    "mmap of what would merge is refused above the limit",
    "brk reaches the limit plus 1",
    "mremap moves with 4 VMAs of headroom",
    "mremap to a given address takes 6",
    "map_count is the lines of maps",
)

ROWS = CHECKS + WALK + BYTES + MAPPINGS + MERGES + CALLS + DISPLAY + LIMITS
