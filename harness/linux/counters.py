"""Reads the kernel's own counters: slab objects, and calls of kernel functions.

Only for kernels that are inspected, not timed: counting disturbs the kernel.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import UnsupportedError
from harness.linux.procfs import elf_notes

_SLABINFO = Path("/proc/slabinfo")
_CACHES = Path("/sys/kernel/slab")
_TRACING = Path("/sys/kernel/tracing")


class SlabCounter:
    """Counts the objects in use of some slab caches exactly.

    slabinfo counts the free objects of a CPU's slab as used. So the caches are shrunk
    just before, which takes the slabs back from the CPUs (mm/slub.c
    kmem_cache_shrink()). All files stay open, because opening one allocates memory.
    Raises UnsupportedError if the kernel has no such counters or the user no right.
    """

    def __init__(self, names: Sequence[str]) -> None:
        # Each write below allocates a few bytes itself: shrink their cache last.
        self._names = sorted(names, key=lambda name: name == "kmalloc-8")
        try:
            self._shrink = [
                os.open(_CACHES / name / "shrink", os.O_WRONLY) for name in self._names
            ]
            self._info = os.open(_SLABINFO, os.O_RDONLY)
        except OSError as error:
            raise UnsupportedError(
                f"slab objects cannot be counted here: {error}; this needs root and a "
                "kernel with CONFIG_SLUB_DEBUG, booted with slab_nomerge"
            ) from None
        self.objects()

    def objects(self) -> dict[str, int]:
        """The number of objects in use now, by cache."""
        for fd in self._shrink:
            os.pwrite(fd, b"1", 0)
        os.lseek(self._info, 0, os.SEEK_SET)
        text = b""
        while chunk := os.read(self._info, 1 << 16):
            text += chunk
        found = parse_slabinfo(text.decode())
        return {name: found[name] for name in self._names}


def parse_slabinfo(text: str) -> dict[str, int]:
    """The number of active objects by cache. Source: mm/slab_common.c cache_show()."""
    rows = (line.split() for line in text.splitlines()[2:])
    return {row[0]: int(row[1]) for row in rows}


@contextlib.contextmanager
def counted_calls(functions: Sequence[str]) -> Iterator[None]:
    """Count calls of kernel functions, starting at 0, while the block runs.

    Raises UnsupportedError without CONFIG_FUNCTION_PROFILER, or if a function cannot
    be traced, for example because it was inlined.
    """
    try:
        (_TRACING / "set_ftrace_filter").write_bytes(b"")
        for name in functions:
            # One per write: the kernel uses only the first name of a write.
            with open(_TRACING / "set_ftrace_filter", "ab", buffering=0) as file:
                file.write(name.encode())
        _profile(True)
    except OSError as error:
        raise UnsupportedError(
            f"calls of {', '.join(functions)} cannot be counted here: {error}; this "
            "needs root and a kernel with CONFIG_FUNCTION_PROFILER"
        ) from None
    try:
        yield
    finally:
        _profile(False)


def _profile(on: bool) -> None:
    (_TRACING / "function_profile_enabled").write_bytes(b"1" if on else b"0")


def function_calls(functions: Sequence[str]) -> dict[str, int]:
    """The calls of each function on all CPUs since ``counted_calls`` began."""
    calls = dict.fromkeys(functions, 0)
    for path in (_TRACING / "trace_stat").glob("function*"):
        # Source: kernel/trace/ftrace.c function_stat_show()
        for line in path.read_text().splitlines()[2:]:
            name, hits, *_ = line.split()
            if name in calls:
                calls[name] += int(hits)
    return calls


def vmcoreinfo() -> bytes:
    """The running kernel's vmcoreinfo, from a note of /proc/kcore.

    A reader of the kernel's memory needs it. Raises UnsupportedError without
    CONFIG_PROC_KCORE or without root.
    """
    try:
        with open("/proc/kcore", "rb", buffering=0) as file:
            head = file.read(64)
            headers = os.pread(file.fileno(), 56 * _short(head, 56), _long(head, 32))
            for at in range(0, len(headers), 56):
                if headers[at : at + 4] == b"\4\0\0\0":
                    notes = os.pread(
                        file.fileno(), _long(headers, at + 32), _long(headers, at + 8)
                    )
                    return parse_vmcoreinfo(notes)
    except OSError as error:
        raise UnsupportedError(
            f"the kernel's vmcoreinfo cannot be read: {error}; this needs root and a "
            "kernel with CONFIG_PROC_KCORE"
        ) from None
    raise UnsupportedError("/proc/kcore has no notes")


def parse_vmcoreinfo(notes: bytes) -> bytes:
    """The text of the note VMCOREINFO. Raises UnsupportedError if there is none."""
    for name, _, value in elf_notes(notes):
        if name == b"VMCOREINFO\0":
            return value
    raise UnsupportedError(
        "/proc/kcore has no note VMCOREINFO: this needs a newer kernel"
    )


def _short(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _long(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")
