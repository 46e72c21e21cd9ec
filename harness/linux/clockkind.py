"""What a machine's clock counts: time, or the instructions of an emulator.

Under QEMU's ``-icount shift=0`` a nanosecond of the guest's clock is one
instruction (docs/devel/tcg-icount.rst), and nothing that a guest can read says
so. But a loop of known length tells: no processor takes one nanosecond for
each instruction both of a chain of multiplications and of a bare countdown.
"""

import ctypes
import mmap
import os
import time

from harness.linux.mman import protect_memory

_ROUNDS = 5
_FEW, _MANY = 20_000, 220_000
# Timer ticks that hit every round, and the calls themselves.
_TOLERANCE = 0.01

# (machine code of a countdown of its argument, instructions a turn)
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
    """Whether a clock's nanoseconds are instructions; False where it can't be told.

    That is on machines other than aarch64 and x86_64, and where memory may not
    be made executable.
    """
    try:
        loops = _LOOPS[os.uname().machine]
        rates = [_nanoseconds_a_turn(code, clock) / turn for code, turn in loops]
    except (KeyError, OSError):
        return False
    return all(abs(rate - 1) < _TOLERANCE for rate in rates)


def _nanoseconds_a_turn(code: bytes, clock: int) -> float:
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as page:
        page.write(code)
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        # An ARM64 need not see in its instruction cache what was written. When a
        # page becomes executable the kernel sees to that (__sync_icache_dcache()).
        protect_memory(start, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC)
        # PYFUNCTYPE: the interpreter's lock stays held, nothing of it runs.
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
