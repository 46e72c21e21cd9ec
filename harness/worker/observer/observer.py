"""Brings processes to a state, counts on the way, and stops them there.

Runs next to the kernel as ``python3 -m harness.worker.observer.observer JOB FD``, as
root, with the standard library only. It writes lines of JSON to FD:

    {"kernel": ...}             as the player describes it
    {"kind": "run", ...}        a record, before each cell
    {"census": WHERE, "objects": {cache: n}, "calls": {function: n}}
    {"trace": N, "from": ...}   what the steps of held traces saw
    {"held": ...}               the last line: pids, by cell and trace, the arenas'
                                addresses, and what a reader of memory must know

WHERE is [what, step]: "start", "cycles", the number of a cell and what it has
done, "cells", "traces". Then it waits to be killed.
"""

import contextlib
import mmap
import os
import signal
import sys
import tempfile
import time
from typing import Any

from harness.errors import HarnessError
from harness.linux import bound_fork, count_maps, pin_to_one_cpu
from harness.linux.counters import (
    SlabCounter,
    counted_calls,
    function_calls,
    vmcoreinfo,
)
from harness.linux.started import keep_ended_children, read_job, say
from harness.worker.executor.arena_address import find_place
from harness.worker.executor.calls import make_means
from harness.worker.executor.executor import describe_kernel
from harness.worker.executor.limit import MapCountLimit
from harness.worker.executor.process import Processes, begin, write_line
from harness.worker.measure.records import render_record
from harness.worker.measure.settings import map_count_up_to
from harness.worker.measure.store import StoreControl
from harness.worker.measure.worker import describer
from harness.worker.observer.observer_job import ObserverJob, parse_observer_job
from harness.worker.observer.stopped import HeldCell, await_stop
from harness.workload.ops import FILE_PAGES, MOST_PROCESSES, PAGE, Step

# Where instructions are counted a guest skips its sleep.
_REST_S = 0.2


def observe(job: ObserverJob, out: int) -> None:
    """Bring about all of a job, tell it, and hold it until this process is killed."""
    players = _Players(out)
    slabs = SlabCounter(job.caches)
    needed = max(planned.cell.layout.map_count_needed for planned in job.cells.cells)

    def census(what: str | int, step: str = "") -> None:
        # What was freed through RCU is, by then.
        time.sleep(_REST_S)
        objects, calls = slabs.objects(), function_calls(job.functions)
        write_line(out, {"census": [what, step], "objects": objects, "calls": calls})

    with (
        contextlib.closing(players),
        map_count_up_to(needed),
        counted_calls(job.functions),
    ):
        census("start")
        for steps in job.cycles.traces:
            players.play(0, steps, hold=False)
        census("cycles")
        cells = _hold_cells(job, out, census)
        census("cells")
        traces = [
            players.play(index, steps, hold=True)
            for index, steps in enumerate(job.held.traces)
        ]
        census("traces")
        held = {
            "cells": [{"start": cell.start, "pids": cell.pids} for cell in cells],
            "traces": traces,
            "start": players.place.start,
            "vmcoreinfo": vmcoreinfo().decode("ascii"),
        }
        write_line(out, {"held": held})
        while True:
            signal.pause()


def _hold_cells(job: ObserverJob, out: int, census: Any) -> list[HeldCell]:
    stores = StoreControl(job.cells.stores)
    describe = describer(job.cells, cpu=pin_to_one_cpu())
    cells = []
    for position, planned in enumerate(job.cells.cells):
        stores.choose(planned.cell.store)
        run = f"{job.cells.session}-{job.cells.boot}-{position}"
        needed = planned.cell.layout.map_count_needed
        record = describe(planned, run, position, needed)(count_maps())
        os.write(out, render_record(record))
        census(position, "begun")
        held = HeldCell(
            planned.cell, children=job.children, seed=job.cells.seed + position
        )
        for step in held.steps():
            census(position, step)
        cells.append(held)
    return cells


class _Players:
    """Plays traces, each by processes of its own, which it may hold at the end."""

    def __init__(self, out: int) -> None:
        self._out = out
        self.place = find_place()
        kernel = describe_kernel(self.place)
        self._file = tempfile.NamedTemporaryFile(prefix="harness-")  # noqa: SIM115
        self._file.truncate(FILE_PAGES * PAGE)
        kernel["file"] = self._file.name
        write_line(out, {"kernel": kernel})
        self._means = make_means(self._file.fileno(), self.place)
        self._scratch = os.memfd_create("scratch")
        self._limit = MapCountLimit()
        self._null = os.open(os.devnull, os.O_WRONLY)

    def close(self) -> None:
        """Close the file that traces map."""
        self._file.close()

    def play(self, index: int, steps: tuple[Step, ...], *, hold: bool) -> list[int]:
        """Play one: the pids of its processes by number, 0 where there is none."""
        pids = memoryview(mmap.mmap(-1, PAGE)).cast("q")
        cast = Processes(
            index, steps, at_end=not hold, out=self._out if hold else self._null,
            kmsg=None, limit=self._limit, means=self._means, scratch=self._scratch,
            pids=pids, hold=hold,
        )  # fmt: skip
        pid = bound_fork()
        if pid == 0:
            begin(cast)
        if hold:
            await_stop(pid)
        elif code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise RuntimeError(f"a process of a trace ended with status {code}")
        alive = cast.alive_after[-1] if hold else ()
        cast.close()
        return [pids[n] if n in alive else 0 for n in range(MOST_PROCESSES)]


def main(arguments: list[str]) -> int:
    """Observer the job of a file; the exit status is as HarnessError's."""
    keep_ended_children()
    try:
        job, out = read_job(arguments)
        observe(parse_observer_job(job), out)
    except HarnessError as error:
        say(f"observer: {error}")
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
