"""Runs a plan: boots its guests and appends their records."""

import contextlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from harness.campaign.plan import Plan
from harness.campaign.resuming import Standing, read_standing
from harness.errors import BadRecord, CheckFailed, Stopped, UnsupportedError, UsageError
from harness.host.campaign_folders import RECORDS
from harness.host.clock_lock import silicon_clock_held
from harness.host.programs import tail_of
from harness.targets import memory_mib
from harness.targets.subjects import Subject
from harness.worker.measure import (
    PROTOCOL,
    Job,
    PlannedCell,
    Record,
    Run,
    RunEnd,
    Sample,
    Superseded,
    Unit,
)
from harness.worker.measure.pooling import why_not_pooled
from harness.workload import Store

# How often to check whether a signal has arrived.
_POLL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of running a plan, in cells.

    ``planned`` counts all cells, ``kept`` those that were measured earlier, and
    ``ended`` those that were measured now. ``invalid`` has a sentence for each cell
    that failed.
    """

    planned: int
    ended: int
    invalid: tuple[str, ...]
    kept: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Two callbacks: ``on_step`` gets each step, ``on_cell`` each cell that ended."""

    on_step: Callable[[str], None]
    on_cell: Callable[[int, int, str], None]


def run_plan(
    plan: Plan,
    subjects: Sequence[Subject],
    *,
    folder: Path,
    append: Callable[[Record], None],
    listener: Listener,
    parallel: int,
) -> Outcome:
    """Measure what is left of a plan, with up to ``parallel`` guests at once.

    Blocks that are complete in the records in ``folder`` are kept. Runs of incomplete
    blocks are marked as superseded, and these blocks are measured again. Guests that
    count instructions may run in parallel, because other processes do not change
    their counts. Guests that measure time run one at a time on the whole machine.

    Raises EnvironmentFault if another process measures time; UsageError if the kept
    records must not be pooled with new ones; the first GuestError, after the other
    guests were stopped. The records that were written before an error are kept.
    """
    stop = threading.Event()
    by_name = {subject.name: subject for subject in subjects}
    standing = read_standing(folder / RECORDS, plan, subjects)
    for run in standing.kept.values():
        # The protocol is known now, so check it before anything is marked or booted.
        # The other facts come from the guests and are checked then.
        _check_poolable(folder, run, replace(run, protocol=PROTOCOL))
    for left in standing.left:
        append(Superseded(run=left, reason="its guest did not finish the block"))
    jobs, kept = _jobs(plan, folder.name, by_name, standing)
    planned = kept + sum(len(job.cells) for job in jobs)
    if kept:
        listener.on_step(f"{kept} of {planned} cells were measured before")
    if not jobs:
        return Outcome(planned=planned, ended=0, invalid=(), kept=kept)
    tally = _Tally(planned, kept, append, listener)
    fitting = max(1, _available_mib() // max(memory_mib(job) + 200 for job in jobs))
    takes_time = any(job.conditions.unit is Unit.NS for job in jobs)
    if takes_time:
        parallel = 1

    def boot(job: Job) -> None:
        subject = by_name[job.variant]
        launched = datetime.now(UTC).isoformat(timespec="seconds")
        console = folder / f"console-{job.session}-{job.boot}.txt"
        subject.target(stop).run_job(
            replace(job, launched=launched),
            tally.listen_to(job, subject, console, standing.kept.get(subject.name)),
            console,
        )

    with (
        silicon_clock_held(str(folder)) if takes_time else contextlib.nullcontext(),
        ThreadPoolExecutor(min(parallel, fitting, len(jobs))) as pool,
    ):
        futures = [pool.submit(boot, job) for job in jobs]
        try:
            _await(futures)
        finally:
            # All guests are done, or one failed, or Ctrl-C was pressed.
            stop.set()
            pool.shutdown(cancel_futures=True)
    for future in futures:
        failure = None if future.cancelled() else future.exception()
        if failure is not None and not isinstance(failure, Stopped):
            raise failure
    return tally.outcome()


def _await(futures: Sequence[Future[None]]) -> None:
    """Wait until all are done, or one has failed."""
    # Each wait is short: Python handles a signal that comes just before a wait only
    # after it.
    while True:
        done, pending = wait(futures, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
        if not pending or any(future.exception() for future in done):
            return


def check_names(plan: Plan, subjects: Sequence[Subject]) -> None:
    """Raise UnsupportedError if the plan has names and the user's kernel has none.

    Variant ``none`` has none either, but is accepted: it is measured unnamed, as a
    baseline.
    """
    for subject in subjects:
        if plan.names and subject.stores == (Store.ABSENT,) and not subject.built:
            raise UnsupportedError(
                f"{subject.title} cannot name memory: the probe gave a valid name to "
                "fresh private memory and got EINVAL, so the kernel was built without "
                "CONFIG_ANON_VMA_NAME. To measure names, use a kernel that has them: "
                "anonvma run --target uml (at this machine's speed), or anonvma run "
                "(an ARM64 guest). To measure a fork without names on this kernel, add "
                "--naming none"
            )


class _Tally:
    """Checks each record against the plan, appends it, and counts."""

    def __init__(
        self,
        planned: int,
        kept: int,
        append: Callable[[Record], None],
        listener: Listener,
    ) -> None:
        self._planned = planned
        self._kept = kept
        self._append = append
        self._listener = listener
        self._lock = threading.Lock()
        self._ended = 0
        self._invalid: list[str] = []

    def listen_to(
        self, job: Job, subject: Subject, console: Path, kept: Run | None
    ) -> Callable[[Record], None]:
        """A function that takes the records of one boot.

        ``kept`` is a run of an earlier boot of this kernel; new runs must match it.
        """
        expected = _Expected(job, console)

        def listen(record: Record) -> None:
            cell = expected.take(record)
            if isinstance(record, Run):
                _check_kernel(record, subject)
                if kept is not None:
                    _check_poolable(console.parent, kept, record)
            with self._lock:
                self._append(record)
                if isinstance(record, RunEnd):
                    self._end(record, job.boot, cell)

        return listen

    def _end(self, record: RunEnd, boot: int, cell: str) -> None:
        self._ended += 1
        if not record.valid:
            self._invalid.append(f"{cell}: {record.reason}")
        ended = self._kept + self._ended
        self._listener.on_cell(ended, self._planned, f"boot {boot}: {cell}")

    def outcome(self) -> Outcome:
        return Outcome(
            planned=self._planned,
            ended=self._ended,
            invalid=tuple(self._invalid),
            kept=self._kept,
        )


class _Expected:
    """Checks that a guest sends the runs of its job, in order, and nothing else.

    A guest is not trusted: without this check, a broken one could fill the disk.
    """

    def __init__(self, job: Job, console: Path) -> None:
        self._job = job
        self._console = console
        # Fork and exit of each repetition; naming, renaming, splitting, unmapping.
        self._most = 2 * (job.warmups + job.repetitions) + 4
        self._next = 0
        self._samples = 0
        self._running = ""

    def take(self, record: Record) -> str:
        """The label of the record's cell. Raises BadRecord for an unexpected record."""
        job = self._job
        match record:
            case Run(position=position, run=run) if (
                not self._running
                and position == self._next < len(job.cells)
                and run == f"{job.session}-{job.boot}-{position}"
            ):
                self._running, self._samples = run, 0
                self._next += 1
            case Sample(run=self._running) if (
                self._running and self._samples < self._most
            ):
                self._samples += 1
            case RunEnd(run=self._running) if self._running:
                self._running = ""
            case _:
                raise BadRecord(
                    "the guest sent a record that its job does not expect: "
                    f"{type(record).__name__} {getattr(record, 'run', '')!r:.80}",
                    tail_of(self._console),
                )
        return job.cells[self._next - 1].cell.label


def _jobs(
    plan: Plan, campaign: str, subjects: Mapping[str, Subject], standing: Standing
) -> tuple[list[Job], int]:
    """A job for each boot with cells left to measure, and the number of kept cells."""
    session = secrets.token_hex(4)
    jobs, kept = [], 0
    for boot, name in plan.boots_in_order(list(subjects)):
        cells = plan.cells_of_boot(boot, subjects[name].stores)
        left = tuple(
            planned
            for planned in cells
            if (name, boot, planned.block) not in standing.finished
        )
        kept += len(cells) - len(left)
        if left:
            jobs.append(_job(plan, campaign, session, boot, subjects[name], left))
    return jobs, kept


def _job(
    plan: Plan,
    campaign: str,
    session: str,
    boot: int,
    subject: Subject,
    cells: tuple[PlannedCell, ...],
) -> Job:
    return Job(
        campaign=campaign,
        session=session,
        boot=boot,
        seed=plan.seed,
        variant=subject.name,
        base=subject.base,
        stores=subject.stores,
        conditions=subject.conditions,
        launched="",
        warmups=plan.warmups,
        repetitions=plan.repetitions,
        cells=cells,
    )


def _check_kernel(run: Run, subject: Subject) -> None:
    if not subject.is_kernel_of(run):
        raise CheckFailed(
            f"a guest of variant {run.variant} runs another kernel: expected a release "
            f"that ends in {subject.release_end} and configuration "
            f"{subject.config_sha256}, but got {run.kernel_release} and "
            f"{run.config_sha256}"
        )


def _check_poolable(folder: Path, kept: Run, run: Run) -> None:
    if why := why_not_pooled(kept, run):
        raise UsageError(
            f"{folder} cannot be resumed: its records of {kept.variant} must not be "
            f"pooled with new ones, because {why}; choose another name"
        )


def _available_mib() -> int:
    return int(psutil.virtual_memory().available) >> 20
