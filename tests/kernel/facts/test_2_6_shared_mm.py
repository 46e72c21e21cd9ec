"""Names where two tasks run in one memory."""

import ctypes
import os
import signal
import threading

import pytest

from harness.linux.libc import check, quick
from tests.kernel.facts.arena import Arena
from tests.kernel.facts.rows import row

pytestmark = pytest.mark.kernel

CLONE_VM, CLONE_VFORK = 0x100, 0x4000
STACK_PAGES = 64


@row("2.6", "a thread")
def test_a_thread_names_for_all(arena: Arena) -> None:
    def work() -> None:
        seen.append(
            (arena.names(), arena.name(1, 1, b"thread"), threading.get_native_id())
        )

    arena.map(0, 2)
    assert arena.name(0, 2, b"main") == 0
    seen: list[tuple[list[tuple[int, int, bytes | None]], int, int]] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    ((before, answer, task),) = seen
    assert (before, answer) == ([(0, 2, b"main")], 0)
    assert task != os.getpid()
    assert arena.names() == [(0, 1, b"main"), (1, 1, b"thread")]


@row("2.6", "CLONE_VM and CLONE_VFORK")
def test_a_child_in_the_same_memory_names_its_parents(arena: Arena) -> None:
    """clone(2) as vfork uses it, on a stack of its own: the parent waits."""
    seen: list[tuple[int, int, int]] = []

    def child(_: object) -> int:
        seen.append((os.getpid(), os.getppid(), arena.name(1, 1, b"child")))
        return 0

    # The interpreter's lock stays with the task that has it, parent or child.
    start = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(child)
    arena.map(0, 2)
    arena.map(100, STACK_PAGES)
    assert arena.name(0, 2, b"parent") == 0
    flags = CLONE_VM | CLONE_VFORK | signal.SIGCHLD
    top = ctypes.c_void_p(arena.at(100 + STACK_PAGES) - 16 * 8)
    pid = check(quick.clone(start, top, ctypes.c_int(flags), None))
    assert os.waitpid(pid, 0)[1] == 0

    assert seen == [(pid, os.getpid(), 0)]
    assert arena.names()[:2] == [(0, 1, b"parent"), (1, 1, b"child")]
    assert arena.unmap(100, STACK_PAGES) == 0
