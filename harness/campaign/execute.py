"""Runs a plan: builds its kernels, boots its guests, appends their records."""

import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from harness.campaign.plan import Plan
from harness.campaign.subjects import Subject
from harness.errors import CheckFailed, Stopped, UnsupportedError
from harness.measure import Job, Record, Run, RunEnd, Unit
from harness.target import memory_mib
from harness.workload import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a campaign came to: cells planned and ended, and those that failed."""

    planned: int
    ended: int
    invalid: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Whom a campaign tells: ``on_step`` what is done, ``on_cell`` each ended cell."""

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
    """Boot and measure all of a plan, up to ``parallel`` guests at a time.

    Instructions do not care for the neighbours, so guests that count them may
    share the host; where time is taken there is one at a time. Raises the first
    GuestError, after the other guests have been stopped; what was recorded by
    then stays recorded.
    """
    stop = threading.Event()
    session = secrets.token_hex(4)
    by_name = {subject.name: subject for subject in subjects}
    jobs = [
        _job(plan, folder.name, session, boot, by_name[name])
        for boot, name in plan.boots_in_order(list(by_name))
    ]
    tally = _Tally(sum(len(job.cells) for job in jobs), append, listener)
    fitting = max(1, _available_mib() // max(memory_mib(job) + 200 for job in jobs))
    if any(job.conditions.unit is Unit.NS for job in jobs):
        parallel = 1

    def boot(job: Job) -> None:
        subject = by_name[job.variant]
        launched = datetime.now(UTC).isoformat(timespec="seconds")
        console = folder / f"console-{session}-{job.boot}.txt"
        subject.target(stop).run_job(
            replace(job, launched=launched), tally.listen_to(job, subject), console
        )

    with ThreadPoolExecutor(min(parallel, fitting, len(jobs))) as pool:
        futures = [pool.submit(boot, job) for job in jobs]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # Reached with everything done, with a guest lost, or by Ctrl-C.
            stop.set()
            pool.shutdown(cancel_futures=True)
    for future in futures:
        failure = None if future.cancelled() else future.exception()
        if failure is not None and not isinstance(failure, Stopped):
            raise failure
    return tally.outcome()


def check_names(plan: Plan, subjects: Sequence[Subject]) -> None:
    """Raise UnsupportedError where a kernel of the user's is to keep names, but can't.

    Variant none, which can't either, is measured unnamed: it is the baseline.
    """
    for subject in subjects:
        if plan.names and subject.stores == (Store.ABSENT,) and not subject.built:
            raise UnsupportedError(
                f"{subject.title} names no memory: the probe gave a valid name to "
                "fresh private memory and got EINVAL, so it was built without "
                "CONFIG_ANON_VMA_NAME. To measure names, run a kernel that has them: "
                "anonvma run --target uml (at this machine's speed), or anonvma run "
                "(an ARM64 guest). What a fork costs without names can be measured on "
                "this one: add --naming none"
            )


class _Tally:
    """Checks each record against the plan, appends it, and counts."""

    def __init__(
        self, planned: int, append: Callable[[Record], None], listener: Listener
    ) -> None:
        self._planned = planned
        self._append = append
        self._listener = listener
        self._lock = threading.Lock()
        self._ended = 0
        self._invalid: list[str] = []

    def listen_to(self, job: Job, subject: Subject) -> Callable[[Record], None]:
        """The function that takes the records of one boot."""
        running = ""

        def listen(record: Record) -> None:
            nonlocal running
            if isinstance(record, Run):
                _check_kernel(record, subject)
                running = job.cells[record.position].cell.label
            with self._lock:
                self._append(record)
                if isinstance(record, RunEnd):
                    self._end(record, job.boot, running)

        return listen

    def _end(self, record: RunEnd, boot: int, cell: str) -> None:
        self._ended += 1
        if not record.valid:
            self._invalid.append(f"{cell}: {record.reason}")
        self._listener.on_cell(self._ended, self._planned, f"boot {boot}: {cell}")

    def outcome(self) -> Outcome:
        return Outcome(
            planned=self._planned, ended=self._ended, invalid=tuple(self._invalid)
        )


def _job(plan: Plan, campaign: str, session: str, boot: int, subject: Subject) -> Job:
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
        cells=plan.cells_of_boot(boot, subject.stores),
    )


def _check_kernel(run: Run, subject: Subject) -> None:
    well = run.kernel_release.endswith(subject.release_end)
    if not well or run.config_sha256 != subject.config_sha256:
        raise CheckFailed(
            f"a guest of variant {run.variant} runs another kernel: expected a release "
            f"that ends in {subject.release_end} and configuration "
            f"{subject.config_sha256}, it says {run.kernel_release} and "
            f"{run.config_sha256}"
        )


def _available_mib() -> int:
    return int(psutil.virtual_memory().available) >> 20
