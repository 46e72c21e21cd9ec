"""Runs a plan: builds its kernels, boots its guests, appends their records."""

import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.arch import Arch
from harness.campaign.plan import Plan
from harness.errors import CheckFailed, Stopped
from harness.kbuild import BuiltKernel, build_kernel, variant_named
from harness.measure import Job, Record, Run, RunEnd, Unit
from harness.target import (
    ACCELERATOR,
    SETTINGS,
    SETTLE_MS,
    Deadlines,
    QemuTarget,
    memory_mib,
)


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


def build_kernels(plan: Plan, arch: Arch, listener: Listener) -> dict[str, BuiltKernel]:
    """The kernel of each variant of the plan."""
    return {
        name: build_kernel(
            variant_named(name), plan.base, arch, on_step=listener.on_step
        )
        for name in plan.variants
    }


def run_plan(
    plan: Plan,
    kernels: dict[str, BuiltKernel],
    *,
    folder: Path,
    append: Callable[[Record], None],
    listener: Listener,
    parallel: int,
    deadlines: Deadlines,
) -> Outcome:
    """Boot and measure all of a plan, up to ``parallel`` guests at a time.

    Instructions do not care for the neighbours, so guests may share the host.
    Raises the first GuestError, after the other guests have been stopped; what
    was recorded by then stays recorded.
    """
    stop = threading.Event()
    session = secrets.token_hex(4)
    jobs = [
        _job(plan, folder.name, session, boot, kernels[variant])
        for boot, variant in plan.boots_in_order()
    ]
    tally = _Tally(sum(len(job.cells) for job in jobs), append, listener)
    fitting = max(1, _available_mib() // max(memory_mib(job) + 200 for job in jobs))

    def boot(job: Job) -> None:
        kernel = kernels[job.variant]
        target = QemuTarget(
            arch=kernel.arch, kernel=kernel.image, deadlines=deadlines, stop=stop
        )
        launched = datetime.now(UTC).isoformat(timespec="seconds")
        console = folder / f"console-{session}-{job.boot}.txt"
        target.run_job(
            replace(job, launched=launched), tally.listen_to(job, kernel), console
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

    def listen_to(self, job: Job, kernel: BuiltKernel) -> Callable[[Record], None]:
        """The function that takes the records of one boot."""
        running = ""

        def listen(record: Record) -> None:
            nonlocal running
            if isinstance(record, Run):
                _check_kernel(record, kernel)
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


def _job(
    plan: Plan, campaign: str, session: str, boot: int, kernel: BuiltKernel
) -> Job:
    return Job(
        campaign=campaign,
        session=session,
        boot=boot,
        seed=plan.seed,
        variant=kernel.variant.name,
        base=kernel.base,
        stores=kernel.variant.stores,
        target="qemu",
        accelerator=ACCELERATOR,
        unit=Unit.INSNS,
        launched="",
        settle_ms=SETTLE_MS,
        settings=SETTINGS,
        warmups=plan.warmups,
        repetitions=plan.repetitions,
        cells=plan.cells_of_boot(boot, kernel.variant.name),
    )


def _check_kernel(run: Run, kernel: BuiltKernel) -> None:
    expected = (kernel.config_sha256, kernel.variant.name)
    seen = (run.config_sha256, run.kernel_release.rpartition("-")[2])
    if seen != expected:
        raise CheckFailed(
            f"a guest of variant {run.variant} runs another kernel: expected "
            f"configuration and release suffix {expected}, it says {seen}"
        )


def _available_mib() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
