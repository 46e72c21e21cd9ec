"""The observer: runs processes up to known states and stops them there.

On the way it reads the kernel's counters: slab objects and calls of functions.

Runs next to the kernel as ``python3 -m harness.worker.observer.observer JOB FD``, as
root, with the standard library only. It writes lines of JSON to FD:

    {"kernel": ...}             as the executor describes it
    {"kind": "run", ...}        a record, before each cell
    {"census": WHERE, "objects": {cache: n}, "calls": {function: n}}
                                the counters
    {"trace": N, "from": ...}   the results of held traces, as the executor writes them
    {"held": ...}               the last line: pids by cell and trace, the arenas'
                                addresses, and the vmcoreinfo for a memory dump

WHERE is [what, step]. "What" is "start", "cycles", the number of a cell, "cells" or
"traces"; "step" is the last step of the cell. Then the observer waits to be killed.
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
from harness.worker.executor.arena_address import find_arena_address
from harness.worker.executor.calls import make_call_context
from harness.worker.executor.executor import describe_kernel
from harness.worker.executor.limit import MapCountLimit
from harness.worker.executor.process import SharedState, run_process_0, write_line
from harness.worker.measure.records import render_record
from harness.worker.measure.settings import map_count_up_to
from harness.worker.measure.store import StoreControl
from harness.worker.measure.worker import describer
from harness.worker.observer.observer_job import ObserverJob, parse_observer_job
from harness.worker.observer.stopped import HeldCell, await_stop
from harness.workload.ops import FILE_PAGES, MOST_PROCESSES, PAGE, Step

# Under icount this costs no real time: QEMU skips a guest's sleep.
_REST_S = 0.2


def observe(job: ObserverJob, out: int) -> None:
    """Run all of a job, report it, and keep its processes until this one is killed."""
    traces = _TraceRunner(out)
    slabs = SlabCounter(job.caches)
    needed = max(planned.cell.layout.map_count_needed for planned in job.cells.cells)

    def report_counters(what: str | int, step: str = "") -> None:
        # Let RCU finish the frees that are pending.
        time.sleep(_REST_S)
        objects, calls = slabs.objects(), function_calls(job.functions)
        write_line(out, {"census": [what, step], "objects": objects, "calls": calls})

    with (
        contextlib.closing(traces),
        map_count_up_to(needed),
        counted_calls(job.functions),
    ):
        report_counters("start")
        for steps in job.cycles.traces:
            traces.play(0, steps, hold=False)
        report_counters("cycles")
        cells = _hold_cells(job, out, report_counters)
        report_counters("cells")
        pids = [
            traces.play(index, steps, hold=True)
            for index, steps in enumerate(job.held.traces)
        ]
        report_counters("traces")
        held = {
            "cells": [{"start": cell.start, "pids": cell.pids} for cell in cells],
            "traces": pids,
            "start": traces.arena.start,
            "vmcoreinfo": vmcoreinfo().decode("ascii"),
        }
        write_line(out, {"held": held})
        while True:
            signal.pause()


def _hold_cells(job: ObserverJob, out: int, report_counters: Any) -> list[HeldCell]:
    stores = StoreControl(job.cells.stores)
    describe = describer(job.cells, cpu=pin_to_one_cpu())
    cells = []
    for position, planned in enumerate(job.cells.cells):
        stores.choose(planned.cell.store)
        run = f"{job.cells.session}-{job.cells.boot}-{position}"
        needed = planned.cell.layout.map_count_needed
        record = describe(planned, run, position, needed)(count_maps())
        os.write(out, render_record(record))
        report_counters(position, "begun")
        held = HeldCell(
            planned.cell, children=job.children, seed=job.cells.seed + position
        )
        for step in held.steps():
            report_counters(position, step)
        cells.append(held)
    return cells


class _TraceRunner:
    """Plays traces, each in new processes, which it can keep at the end."""

    def __init__(self, out: int) -> None:
        self._out = out
        self.arena = find_arena_address()
        kernel = describe_kernel(self.arena)
        self._file = tempfile.NamedTemporaryFile(prefix="harness-")  # noqa: SIM115
        self._file.truncate(FILE_PAGES * PAGE)
        kernel["file"] = self._file.name
        write_line(out, {"kernel": kernel})
        self._context = make_call_context(self._file.fileno(), self.arena)
        self._scratch = os.memfd_create("scratch")
        self._limit = MapCountLimit()
        self._null = os.open(os.devnull, os.O_WRONLY)

    def close(self) -> None:
        """Close the file that the traces map."""
        self._file.close()

    def play(self, index: int, steps: tuple[Step, ...], *, hold: bool) -> list[int]:
        """Play one trace; the pids of its processes by number, 0 for none.

        With ``hold`` the live processes stay; without, there are none left.
        """
        pids = memoryview(mmap.mmap(-1, PAGE)).cast("q")
        shared = SharedState(
            index, steps, at_end=not hold, out=self._out if hold else self._null,
            kmsg=None, limit=self._limit, context=self._context, scratch=self._scratch,
            pids=pids, hold=hold,
        )  # fmt: skip
        pid = bound_fork()
        if pid == 0:
            run_process_0(shared)
        if hold:
            await_stop(pid)
        elif code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise RuntimeError(f"a process of a trace ended with status {code}")
        alive = shared.alive_after[-1] if hold else ()
        shared.close()
        return [pids[n] if n in alive else 0 for n in range(MOST_PROCESSES)]


def main(arguments: list[str]) -> int:
    """Run the job in a file; the exit status is 0, or that of the HarnessError."""
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
