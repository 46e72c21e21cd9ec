"""Addresses where nothing else is mapped, and what a kernel says to calls there."""

import ctypes
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from harness.linux import (
    advise_memory,
    map_memory,
    protect_memory,
    read_into,
    read_maps,
    set_anon_name,
    unmap_memory,
)
from harness.linux.libc import check, quick
from harness.linux.uapi import (
    MAP_ANONYMOUS,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
)
from harness.maps import MapsEntry, parse_maps

PAGE = os.sysconf("SC_PAGESIZE")
READ_WRITE = PROT_READ | PROT_WRITE
ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS

# Between the program and what mmap hands out, on every machine of ours.
_BASE = 0x20_0000_0000
_PAGES = 256

Answer = TypeVar("Answer")

# What the standard library and harness.linux have no call for.
_NUMBERS = {
    "aarch64": {"mbind": 235, "mseal": 462, "prctl": 167, "shmat": 196, "shmctl": 195,
                "shmget": 194, "userfaultfd": 282},
    "x86_64": {"mbind": 237, "mseal": 462, "prctl": 157, "shmat": 30, "shmctl": 31,
               "shmget": 29, "userfaultfd": 323},
}  # fmt: skip
_syscall = quick.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long,) * 6


@dataclass(frozen=True, slots=True)
class Arena:
    """A range of addresses, counted in pages; nothing is mapped on either side.

    Every call returns the errno that the kernel refused it with, or 0.
    """

    base: int = _BASE

    def at(self, page: int) -> int:
        """The address of a page."""
        return self.base + page * PAGE

    def map(
        self, first: int, pages: int, prot: int = READ_WRITE, flags: int = ANONYMOUS,
        *, fd: int = -1,
    ) -> None:  # fmt: skip
        """Map pages where there are none. Raises OSError."""
        start = self.at(first)
        got = map_memory(
            start, pages * PAGE, prot, flags | MAP_FIXED_NOREPLACE, fd=fd
        )  # fmt: skip
        assert got == start

    def unmap(self, first: int, pages: int) -> int:
        """munmap(2)."""
        return errno_of(lambda: unmap_memory(self.at(first), pages * PAGE))

    def protect(self, first: int, pages: int, prot: int) -> int:
        """mprotect(2)."""
        return errno_of(lambda: protect_memory(self.at(first), pages * PAGE, prot))

    def name(self, first: int, pages: int, name: bytes | int | None) -> int:
        """PR_SET_VMA_ANON_NAME."""
        return name_at(self.at(first), pages * PAGE, name)

    def touch(self, first: int, pages: int) -> None:
        """Write to every page, so that it is there."""
        with open("/dev/zero", "rb") as zero:
            for page in range(first, first + pages):
                assert read_into(zero.fileno(), self.at(page), 1) == 1

    def fill(self, first: int, pages: int) -> None:
        """Write the letter x all over."""
        ctypes.memset(self.at(first), ord("x"), pages * PAGE)

    def contents(self, first: int, pages: int) -> bytes:
        """The bytes of pages."""
        return ctypes.string_at(self.at(first), pages * PAGE)

    def entries(self) -> list[MapsEntry]:
        """The lines of maps that lie in the arena."""
        return [
            e for e in parse_maps(read_maps())
            if self.base - _PAGES * PAGE <= e.start < self.at(_PAGES)
        ]  # fmt: skip

    def shape(self) -> list[tuple[int, int, str, bytes | None]]:
        """(first page, pages, permissions, name) of every VMA."""
        return [
            ((e.start - self.base) // PAGE, (e.end - e.start) // PAGE, e.perms,
             e.anon_name)
            for e in self.entries()
        ]  # fmt: skip

    def names(self) -> list[tuple[int, int, bytes | None]]:
        """(first page, pages, name) of every VMA."""
        return [(first, pages, name) for first, pages, _, name in self.shape()]

    def clear(self) -> None:
        """Unmap all that there is."""
        unmap_memory(self.base - _PAGES * PAGE, 2 * _PAGES * PAGE)


def errno_of(call: Callable[[], object]) -> int:
    """What a call is refused with; 0 where it is not."""
    try:
        call()
    except OSError as error:
        return error.errno or -1
    return 0


def name_at(start: int, size: int, name: bytes | int | None) -> int:
    """What naming bytes of memory is refused with; 0 where it is not."""
    return errno_of(lambda: set_anon_name(start, size, name))


def system_call(call: str, *words: int) -> int:
    """A bare system call of up to five arguments. Raises OSError."""
    number = _NUMBERS[os.uname().machine][call]
    five = (*words, 0, 0, 0, 0, 0)[:5]
    return check(_syscall(number, *five))


def told_by_child(do: Callable[[], Answer]) -> Answer:
    """What ``do`` returns in a process of its own, whose memory it may spoil."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with open(writing, "wb") as told:
                pickle.dump(do(), told)
            os._exit(0)
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as told:
        text = told.read()
    status = os.waitpid(pid, 0)[1]
    assert status == 0, f"the child ended with status {status}"
    answer: Answer = pickle.loads(text)
    return answer


def entry_of(pathname: bytes) -> MapsEntry:
    """The first line of maps with such a last field; StopIteration without one."""
    return next(e for e in parse_maps(read_maps()) if e.pathname == pathname)


def advise(arena: Arena, first: int, pages: int, advice: int) -> int:
    """madvise(2) on pages of an arena: what it is refused with, or 0."""
    return errno_of(lambda: advise_memory(arena.at(first), pages * PAGE, advice))
