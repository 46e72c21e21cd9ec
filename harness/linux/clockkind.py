"""Detects what a machine's clock counts: time, or the instructions of an emulator.

Under QEMU's ``-icount shift=0`` one nanosecond of the guest's clock is one
instruction (docs/devel/tcg-icount.rst), but a guest cannot read that anywhere. So two
loops of known length are timed: a bare countdown and a chain of multiplications. No
real processor takes one nanosecond per instruction in both.
"""

import ctypes
import mmap
import os
import time

from harness.linux.mman import protect_memory

_ROUNDS = 5
_FEW, _MANY = 20_000, 220_000
# Allows for timer ticks in every round and for the calls of the loop.
_TOLERANCE = 0.01

# (machine code that counts its argument down, instructions per turn)
_LOOPS = {
    "aarch64": (
        # subs x0, x0, #1; b.ne .-4; ret
        (bytes.fromhex("000400f1 e1ffff54 c0035fd6"), 2),
        # mul x1, x1, x1 four times; subs x0, x0, #1; b.ne .-20; ret
        (bytes.fromhex("217c019b" * 4 + "000400f1 61ffff54 c0035fd6"), 6),
    ),
    "x86_64": (
        # dec rdi; jnz .-3; ret
        (bytes.fromhex("48ffcf 75fb c3"), 2),
        # imul rax, rax four times; dec rdi; jnz .-19; ret
        (bytes.fromhex("480fafc0" * 4 + "48ffcf 75eb c3"), 6),
    ),
}


def counts_instructions(clock: int) -> bool:
    """Whether a clock's nanoseconds are instructions; False if that is unknown.

    It is unknown on machines other than aarch64 and x86_64, and if this process may
    not make memory executable.
    """
    try:
        loops = _LOOPS[os.uname().machine]
        rates = [_nanoseconds_per_turn(code, clock) / turn for code, turn in loops]
    except (KeyError, OSError):
        return False
    return all(abs(rate - 1) < _TOLERANCE for rate in rates)


def _nanoseconds_per_turn(code: bytes, clock: int) -> float:
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as page:
        page.write(code)
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        # On ARM64 the instruction cache may not see the written code. The kernel
        # synchronises it when the page becomes executable (__sync_icache_dcache()).
        protect_memory(start, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC)
        # PYFUNCTYPE keeps the interpreter lock, so no other Python code runs.
        loop = ctypes.PYFUNCTYPE(None, ctypes.c_long)(start)

        def cost(turns: int) -> int:
            best = None
            for _ in range(_ROUNDS):
                before = time.clock_gettime_ns(clock)
                loop(turns)
                took = time.clock_gettime_ns(clock) - before
                best = took if best is None else min(best, took)
            assert best is not None
            return best

        difference = cost(_MANY) - cost(_FEW)
    return difference / (_MANY - _FEW)
