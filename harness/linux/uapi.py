"""Constants of the kernel's user-space interface, by header.

Constants that the standard library has (``mmap``, ``os``, ``signal``) are not repeated.
"""

import os

# include/uapi/linux/prctl.h
PR_SET_VMA = 0x53564D41
PR_SET_VMA_ANON_NAME = 0
PR_SET_PDEATHSIG = 1
PR_SET_MM = 35
PR_SET_MM_START_BRK = 6
PR_SET_MM_BRK = 7

# include/uapi/linux/mman.h, include/uapi/asm-generic/mman-common.h
PROT_NONE = 0x0
PROT_READ = 0x1
PROT_WRITE = 0x2
PROT_EXEC = 0x4
MAP_SHARED = 0x01
MAP_PRIVATE = 0x02
MAP_FIXED = 0x10
MAP_ANONYMOUS = 0x20
MAP_NORESERVE = 0x4000
MAP_FIXED_NOREPLACE = 0x100000
MADV_POPULATE_WRITE = 23
MREMAP_MAYMOVE = 1
MREMAP_FIXED = 2
MREMAP_DONTUNMAP = 4

# include/linux/mm.h: the length of the longest name, including its NUL byte
ANON_VMA_NAME_MAX_LEN = 80

# arch/*/include/uapi/asm/unistd*.h, by uname -m
_SYSCALLS = {
    "aarch64": {"brk": 214, "clone": 220, "wait4": 260},
    "x86_64": {"brk": 12, "clone": 56, "wait4": 61},
}


def syscall_number(name: str) -> int:
    """The number of a system call. KeyError on a machine without a table above."""
    return _SYSCALLS[os.uname().machine][name]


# include/uapi/linux/fs.h: PROCMAP_QUERY = _IOWR('f', 17, struct procmap_query)
PROCMAP_QUERY = (3 << 30) | (104 << 16) | (ord("f") << 8) | 17
PROCMAP_QUERY_COVERING_OR_NEXT_VMA = 0x10
PROCMAP_QUERY_VMA_READABLE = 0x01
PROCMAP_QUERY_VMA_WRITABLE = 0x02
PROCMAP_QUERY_VMA_EXECUTABLE = 0x04
PROCMAP_QUERY_VMA_SHARED = 0x08
