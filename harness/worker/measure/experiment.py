"""Measures one cell in this process: builds, names, checks, and only then times."""

import gc
import mmap
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import CheckFailed
from harness.linux import (
    count_maps,
    die_with_parent,
    fifo_without_children,
    timed_fork,
    timed_wait,
)
from harness.worker.measure.arena import (
    CLOCK,
    Arena,
    check_maps,
    give_names,
    prepare_heap,
)
from harness.worker.measure.conditions import Conditions
from harness.worker.measure.records import Metric, Record, Run, Sample
from harness.workload import Cell, Store

_CHILD_CLOCKS = struct.Struct("=qq")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRequest:
    """What a cell's process must know.

    ``describe`` makes the run record from the number of lines in maps.
    ``current_store`` asks the kernel how it stores names now.
    """

    cell: Cell
    run: str
    conditions: Conditions
    seed: int
    warmups: int
    repetitions: int
    describe: Callable[[int], Run]
    current_store: Callable[[], Store]
    emit: Callable[[Record], None]


def measure_cell(request: CellRequest) -> None:
    """Take every sample of one cell in this process.

    Raises CheckFailed, before any fork is timed, unless maps shows every VMA with the
    right name, in this process and in a child.
    """
    gc.disable()
    prepare_heap()
    rest_s = request.conditions.rest_ms / 1000
    with Arena(request.cell.layout, seed=request.seed, rest_s=rest_s) as arena:
        recorder = _Recorder(request)
        request.emit(request.describe(count_maps()))
        _take_naming(arena, recorder)
        check_from_child(arena, request.cell)
        _take_forks(recorder)
        _take_renaming(arena, recorder)
        if request.cell.layout.splits:
            recorder.add(Metric.SPLIT, *arena.split(CLOCK))
        _take_munmap(arena, recorder)


class _Recorder:
    """Turns intervals into samples, numbers them, and emits each at once."""

    def __init__(self, request: CellRequest) -> None:
        self.request = request
        self._order = 0

    def add(
        self,
        metric: Metric,
        before: int,
        after: int,
        *,
        repetition: int = 0,
        reason: str = "",
    ) -> None:
        request = self.request
        store = request.current_store()
        reason = reason or request.conditions.unusable
        if not reason and store is not request.cell.store:
            reason = f"the kernel's store became {store.value}"
        request.emit(
            Sample(
                run=request.run,
                order=self._order,
                began=before,
                metric=metric.value,
                unit=request.conditions.unit.value,
                value=after - before,
                store=store.value,
                repetition=repetition,
                warmup=metric in _REPEATED and repetition < request.warmups,
                valid=not reason,
                reason=reason,
            )
        )
        self._order += 1


# If the child's first clock read is earlier than the parent's second, the child ran
# inside the measured interval.
_TOO_EARLY = "the child ran before fork returned"
_REPEATED = frozenset({Metric.FORK, Metric.EXIT_REAP})


def _take_naming(arena: Arena, recorder: _Recorder) -> None:
    if not recorder.request.cell.named:
        return
    with arena.naming_loop(recorder.request.cell.naming) as loop:
        before, after = give_names(loop, CLOCK)
    recorder.add(Metric.NAME, before, after)


def _take_renaming(arena: Arena, recorder: _Recorder) -> None:
    naming = recorder.request.cell.naming
    if not recorder.request.cell.named or not naming.length:
        return
    with arena.naming_loop(naming, again=True) as loop:
        before, after = give_names(loop, CLOCK)
    recorder.add(Metric.RENAME, before, after)


def _take_forks(recorder: _Recorder) -> None:
    request = recorder.request
    # The page is shared: the child writes into it when it ran.
    with mmap.mmap(-1, mmap.PAGESIZE) as page:
        pack = _CHILD_CLOCKS.pack_into
        now, leave = time.clock_gettime_ns, os._exit
        for repetition in range(request.warmups + request.repetitions):
            # Clear the previous child's times: the next child may die before writing.
            pack(page, 0, 0, 0)
            time.sleep(request.conditions.settle_ms / 1000)
            with fifo_without_children():
                pid, before, after = timed_fork(CLOCK)
                if pid == 0:
                    pack(page, 0, after, now(CLOCK))
                    leave(0)
            status, _, reaped = timed_wait(pid, CLOCK)
            ran, left = _CHILD_CLOCKS.unpack_from(page)
            end = _why_no_exit(status) if status else ""
            late = ran >= after
            why = "" if late else _TOO_EARLY if ran else end
            assert late or why
            recorder.add(Metric.FORK, before, after, repetition=repetition, reason=why)
            recorder.add(
                Metric.EXIT_REAP, left or reaped, reaped,
                repetition=repetition, reason=end,
            )  # fmt: skip


def _why_no_exit(status: int) -> str:
    """How a child ended abnormally, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"the child was killed by signal {-code}"
    return f"the child ended with status {code}"


def _take_munmap(arena: Arena, recorder: _Recorder) -> None:
    now = time.clock_gettime_ns
    before = now(CLOCK)
    arena.unmap()
    after = now(CLOCK)
    recorder.add(Metric.MUNMAP, before, after)


def check_from_child(arena: Arena, cell: Cell) -> None:
    """Check the maps of this process and of a child; the child does both.

    Raises CheckFailed if one of them does not show the VMAs of the cell. The expected
    text is as large as maps. If this process made it, the memory would stay in the
    heap, which fork copies, and a named cell would have more of it.
    """
    parent = os.getpid()
    reading, writing = os.pipe()
    pid, _, _ = timed_fork(CLOCK)
    if pid == 0:
        message = "the check itself failed"
        try:
            die_with_parent()
            os.close(reading)
            expected = arena.expected_text(cell.naming)
            message = _difference(expected, parent, "in the process itself")
            message = message or _difference(expected, os.getpid(), "in a child")
        except BaseException as error:
            message = f"the check itself failed: {error!r}"
        finally:
            os.write(writing, message.encode()[:4000])
            os._exit(1 if message else 0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        message = pipe.read().decode(errors="replace")
    status, _, _ = timed_wait(pid, CLOCK)
    if status:
        raise CheckFailed(
            message
            or f"the check was killed by signal {status & 0x7F}: the machine was out "
            "of memory, or somebody killed it"
        )


def _difference(expected: bytes, pid: int, where: str) -> str:
    try:
        check_maps(expected, pid=pid)
    except CheckFailed as error:
        return f"{where}: {error}"
    return ""
