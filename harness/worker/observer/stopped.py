"""Processes that stop themselves where the kernel is to be looked at.

A process that has come to such a point stops (SIGSTOP); whoever forked it sees
that, looks, and lets it go on.
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
    """A cell in a process of its own, which is at ``steps[0]`` first.

    Then it and its children stay as they are for as long as this process lives.
    """

    def __init__(self, cell: Cell, *, children: int, seed: int) -> None:
        self._told = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        self._steps = _steps(cell, children)
        self.pid = bound_fork()
        if self.pid == 0:
            _be_cell(cell, children, seed, self._told)

    def steps(self) -> Iterator[str]:
        """Each point that the process is held at, by name; it goes on at the next.

        Raises RuntimeError when it dies.
        """
        for step in self._steps:
            await_stop(self.pid)
            yield step
            if step != self._steps[-1]:
                os.kill(self.pid, signal.SIGCONT)

    @property
    def start(self) -> int:
        """The address of the arena."""
        return self._told[0]

    @property
    def pids(self) -> list[int]:
        """The process and its children, in order."""
        return [self.pid, *self._told[1 : self._told[1:].tolist().index(0) + 1]]


def _steps(cell: Cell, children: int) -> Sequence[str]:
    naming = ["named"] if cell.named else []
    return ["built", *naming, *(f"fork {n}" for n in range(1, children + 1))]


def _be_cell(cell: Cell, children: int, seed: int, told: memoryview) -> None:
    try:
        gc.disable()
        arena = Arena(cell.layout, seed=seed)
        told[0] = arena.start
        _stop()
        if cell.named:
            arena.name(cell.naming)
            _stop()
        for number in range(1, children + 1):
            pid = bound_fork()
            if pid == 0:
                while True:
                    signal.pause()
            told[number] = pid
            _stop()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def await_stop(pid: int) -> None:
    """Wait until a child has stopped itself. RuntimeError where it ended instead."""
    status = os.waitpid(pid, os.WUNTRACED)[1]
    if not os.WIFSTOPPED(status):
        code = os.waitstatus_to_exitcode(status)
        raise RuntimeError(f"a process that was to be held ended with status {code}")
