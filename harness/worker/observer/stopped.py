"""Processes that stop themselves at the points where the kernel is inspected.

At such a point a process stops itself (SIGSTOP). Its parent waits for that, inspects
the kernel, and continues the process (SIGCONT).
"""

import gc
import mmap
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence

from harness.linux import bound_fork
from harness.worker.measure.arena import Arena
from harness.workload import Cell


class HeldCell:
    """A cell in its own process, which stops at each of ``steps()``.

    After the last step, the process and its children stay as long as this process
    lives.
    """

    def __init__(self, cell: Cell, *, children: int, seed: int) -> None:
        self._shared = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        self._steps = _steps(cell, children)
        self.pid = bound_fork()
        if self.pid == 0:
            _run_cell(cell, children, seed, self._shared)

    def steps(self) -> Iterator[str]:
        """The name of each point where the process stops, while it is stopped there.

        The next iteration continues it. Raises RuntimeError when it dies.
        """
        for step in self._steps:
            await_stop(self.pid)
            yield step
            if step != self._steps[-1]:
                os.kill(self.pid, signal.SIGCONT)

    @property
    def start(self) -> int:
        """The address of the arena."""
        return self._shared[0]

    @property
    def pids(self) -> list[int]:
        """The pids of the process and its children, in order of creation."""
        return [self.pid, *self._shared[1 : self._shared[1:].tolist().index(0) + 1]]


def _steps(cell: Cell, children: int) -> Sequence[str]:
    naming = ["named"] if cell.named else []
    return ["built", *naming, *(f"fork {n}" for n in range(1, children + 1))]


def _run_cell(cell: Cell, children: int, seed: int, shared: memoryview) -> None:
    try:
        gc.disable()
        arena = Arena(cell.layout, seed=seed)
        shared[0] = arena.start
        _stop()
        if cell.named:
            arena.name(cell.naming)
            _stop()
        for number in range(1, children + 1):
            pid = bound_fork()
            if pid == 0:
                while True:
                    signal.pause()
            shared[number] = pid
            _stop()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def await_stop(pid: int) -> None:
    """Wait until a child has stopped itself. RuntimeError if it ended instead."""
    status = os.waitpid(pid, os.WUNTRACED)[1]
    if not os.WIFSTOPPED(status):
        code = os.waitstatus_to_exitcode(status)
        raise RuntimeError(
            f"a process ended with status {code} instead of stopping (SIGSTOP)"
        )
