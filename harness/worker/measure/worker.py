"""The worker: runs the cells of a job in order, each in its own process.

It uses only the standard library: more imports would make every fork ten times as
expensive. It runs next to the kernel, as ``python3 -m harness.worker.measure.worker
JOB FD``. Records go to file descriptor FD, messages to standard error.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from time import clock_gettime_ns

import harness
from harness.errors import CheckFailed, EnvironmentFault, HarnessError
from harness.lean.texts import sha256
from harness.linux import (
    clock_step,
    config_digest,
    count_maps,
    cpu_name,
    die_with_parent,
    fifo_without_children,
    kernel_build_id,
    kernel_config,
    pin_to_one_cpu,
    read_file,
)
from harness.linux.started import keep_ended_children, read_job, say
from harness.worker.measure.arena import CLOCK
from harness.worker.measure.experiment import CellRequest, measure_cell
from harness.worker.measure.filling import filled_up
from harness.worker.measure.job import Job, PlannedCell, parse_job
from harness.worker.measure.protocol import PROTOCOL
from harness.worker.measure.records import SCHEMA, Record, Run, RunEnd, render_record
from harness.worker.measure.settings import MAX_MAP_COUNT, map_count_up_to, settings_of
from harness.worker.measure.store import StoreControl

# The exit statuses of a cell's process.
_DONE, _FAULTY, _CHECK_FAILED = 0, 1, 2


def run_job(job: Job, emit: Callable[[Record], None]) -> None:
    """Run every cell of a job and pass its records to ``emit``.

    A cell becomes an invalid run if its check fails, or if it needs more VMAs than
    vm.max_map_count allows and that may not be raised. Raises UnsupportedError if the
    kernel is not the one that the job expects, EnvironmentFault if a setting cannot be
    changed or a cell's process dies.
    """
    stores = StoreControl(job.stores)
    describe = describer(job, cpu=pin_to_one_cpu())
    needed = max(planned.cell.layout.map_count_needed for planned in job.cells)
    with (
        settings_of(dict(job.conditions.settings)),
        map_count_up_to(needed) as max_map_count,
        filled_up(),
    ):
        for position, planned in enumerate(job.cells):
            stores.choose(planned.cell.store)
            run = f"{job.session}-{job.boot}-{position}"
            request = CellRequest(
                cell=planned.cell,
                run=run,
                conditions=job.conditions,
                seed=job.seed + position,
                warmups=job.warmups,
                repetitions=job.repetitions,
                describe=describe(planned, run, position, max_map_count),
                current_store=stores.current,
                emit=emit,
            )
            if planned.cell.layout.map_count_needed > max_map_count:
                _refuse_cell(request, max_map_count)
            else:
                _run_cell_in_child(request)


def _refuse_cell(request: CellRequest, max_map_count: int) -> None:
    needed = request.cell.layout.map_count_needed
    emit = _Sealing(request.emit)
    emit(request.describe(count_maps()))
    reason = (
        f"{MAX_MAP_COUNT} is {max_map_count}, but {needed} is needed, and this user "
        f"cannot raise it; as root: sysctl {MAX_MAP_COUNT}={needed}"
    )
    emit.end(request.run, reason)


class _Sealing:
    """Emits the records of one run, and at its end the seal over them."""

    def __init__(self, emit: Callable[[Record], None]) -> None:
        self._emit = emit
        self._digest = sha256()

    def __call__(self, record: Record) -> None:
        self._digest.update(render_record(record))
        self._emit(record)

    def end(self, run: str, reason: str) -> None:
        """End the run; it is valid if ``reason`` is empty."""
        seal = self._digest.hexdigest()
        self._emit(RunEnd(run=run, valid=not reason, reason=reason, seal=seal))


def _run_cell_in_child(request: CellRequest) -> None:
    pid = os.fork()
    if pid == 0:
        code = _FAULTY
        try:
            # Ignore Ctrl-C here: it ends the parent, and that ends this process.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            die_with_parent()
            code = _run_cell(request)
        except (HarnessError, OSError) as error:
            say(f"cell [{request.cell.label}]: {error}")
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (_DONE, _CHECK_FAILED):
        raise EnvironmentFault(
            f"the process of cell [{request.cell.label}] ended {_how(status)}"
        )


def _how(status: int) -> str:
    if status == -signal.SIGKILL:
        return "by signal 9: it was killed, or the machine was out of memory"
    return f"by signal {-status}" if status < 0 else f"with status {status}"


def _run_cell(request: CellRequest) -> int:
    emit = _Sealing(request.emit)
    try:
        measure_cell(replace(request, emit=emit))
    except CheckFailed as error:
        emit.end(request.run, str(error))
        return _CHECK_FAILED
    emit.end(request.run, "")
    return _DONE


def describer(
    job: Job, *, cpu: int
) -> Callable[[PlannedCell, str, int, int], Callable[[int], Run]]:
    """A function that makes the records of runs.

    The facts that are the same for every run are read once, here.
    """
    conditions = job.conditions
    config = kernel_config()
    digest = None if config is None else config_digest(config)
    build_id = kernel_build_id()
    boot_id = read_file("/proc/sys/kernel/random/boot_id").decode().strip()
    step = clock_step(CLOCK)
    kernel = os.uname()
    with fifo_without_children() as fifo:
        pass

    def describe(
        planned: PlannedCell, run: str, position: int, max_map_count: int
    ) -> Callable[[int], Run]:
        cell = planned.cell
        return lambda map_count: Run(
            schema=SCHEMA,
            run=run,
            campaign=job.campaign,
            session=job.session,
            boot=job.boot,
            boot_id=boot_id,
            block=planned.block,
            position=position,
            seed=job.seed,
            variant=job.variant,
            base=job.base,
            store=cell.store.value,
            vmas=cell.layout.vmas,
            vma_pages=cell.layout.vma_pages,
            written_pages=cell.layout.written_pages,
            naming=cell.naming.kind.value,
            name_length=cell.naming.length,
            target=conditions.target,
            accelerator=conditions.accelerator,
            clock="CLOCK_MONOTONIC",
            unit=conditions.unit.value,
            clock_step=step,
            machine=kernel.machine,
            cpu=cpu_name(),
            pinned_cpu=cpu,
            fifo=fifo,
            kernel_release=kernel.release,
            kernel_version=kernel.version,
            build_id=build_id,
            config_sha256=digest,
            settle_ms=conditions.settle_ms,
            rest_ms=conditions.rest_ms,
            settings=" ".join(f"{n}={value}" for n, value in conditions.settings),
            map_count=map_count,
            max_map_count=max_map_count,
            python=sys.version.split()[0],
            harness=harness.__version__,
            protocol=PROTOCOL,
            launched=job.launched,
        )

    return describe


def main(arguments: list[str]) -> int:
    """Run the job in a file; the exit status is 0, or that of the HarnessError."""
    started = clock_gettime_ns(CLOCK)
    keep_ended_children()
    try:
        job, out = read_job(arguments)

        def emit(record: Record) -> None:
            os.write(out, render_record(record))

        run_job(parse_job(job), emit)
    except HarnessError as error:
        say(f"worker: {error}")
        return error.status
    elapsed = (clock_gettime_ns(CLOCK) - started) / 1e9
    say(f"worker: done after {elapsed:.3f} s of its clock")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
