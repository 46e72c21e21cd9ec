"""Audits one kernel: compares its counters and its memory with the model.

One guest runs. The observer in it builds processes and stops them, and reads the
kernel's own counters after each step. Then QEMU dumps the guest's memory. The model
predicts every number: calls of the functions that make and free name structs,
objects in each slab class, which VMAs share a struct, and the reference count of
each struct.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.audit.expected_counts import (
    ALLOC,
    FREE,
    CountTable,
    call_counts,
    cell_counts,
    differing_names,
    leak_counts,
)
from harness.audit.guest_report import GuestReport
from harness.divergence import TraceChecker
from harness.errors import UsageError
from harness.host.scratch import scratch_folder
from harness.kbuild import BuiltKernel
from harness.model import Model, NameStore, RefcountedStore, StrdupStore
from harness.model.name_memory import named_vmas, slab_classes
from harness.targets import QemuTarget
from harness.worker.executor import ExecutorJob
from harness.worker.measure import (
    Count,
    Job,
    PlannedCell,
    Record,
    Run,
    RunEnd,
    render_record,
)
from harness.worker.measure.conditions import ICOUNT
from harness.worker.observer.observer_job import ObserverJob, render_observer_job
from harness.workload import Cell, Layout, NamingScheme, Store
from harness.workload.gen import Theme, traces
from harness.workload.ops import PAGE, Exit, Fork, Lock, Map, SetName, Step, Write

if TYPE_CHECKING:
    from harness.audit.vmcore import Vmcore

MOST_CHILDREN = 8
_STORES: dict[Store, type[NameStore]] = {
    Store.REFCOUNTED: RefcountedStore,
    Store.STRDUP: StrdupStore,
}
_PAGES = 32
_TRACE_LENGTH = 100
# Names, flags, every kind of mapping, and processes, but no writes. A write can
# merge two VMAs with equal names in two structs, and the kernel chooses which of
# the two structs stays.
_THEMES = (Theme.NAMES, Theme.FAMILY, Theme.KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPlan:
    """What one audit runs.

    One cell of ``vmas`` VMAs for each naming scheme, each with ``children``
    children; ``cycles`` times name, fork, rename and exit; random traces with
    ``operations`` operations in total.
    """

    vmas: int
    children: int
    namings: tuple[NamingScheme, ...]
    cycles: int = 1000
    operations: int = 2000
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.children <= MOST_CHILDREN:
            raise UsageError(
                f"an audit takes 0 to {MOST_CHILDREN} children, not {self.children}"
            )

    @property
    def memory_mib(self) -> int:
        """Guest memory in MiB that is enough for all processes at once."""
        vmas = self.vmas * (1 + self.children) * len(self.namings)
        return 640 + (vmas * 1280 >> 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The result of auditing one kernel.

    ``counts`` has the predicted and the counted numbers. The name structs of
    ``vmas`` named VMAs were compared; these are ``structs`` different structs.
    ``divergences`` has one sentence for each difference; it is empty if the kernel
    does what the model predicts.
    """

    counts: tuple[CountTable, ...]
    vmas: int
    structs: int
    divergences: tuple[str, ...]
    runs: tuple[Run, ...]


def audit_kernel(
    plan: AuditPlan,
    kernel: BuiltKernel,
    target: QemuTarget,
    *,
    campaign: str,
    on_step: Callable[[str], None],
) -> Audit:
    """Audit one readable kernel in a guest of its own.

    Raises GuestError's subclasses; UsageError if the variant keeps no names;
    EnvironmentFault if the memory dump cannot be written or read.
    """
    # Imported here because a guest image contains no drgn and audits nothing.
    from harness.audit.vmcore import Vmcore

    store = kernel.variant.stores[0]
    if store not in _STORES:
        raise UsageError(
            f"variant {kernel.variant.name} keeps no names, so it cannot be audited"
        )
    cells = [
        Cell(store=store, layout=Layout(vmas=plan.vmas), naming=naming)
        for naming in plan.namings
    ]
    job = _job(plan, kernel, cells, campaign)
    report = GuestReport()
    with scratch_folder() as scratch:
        dump, console = scratch / "memory", scratch / "console.txt"
        name = f"{kernel.variant.name}-{kernel.base}"
        on_step(f"{name}: {plan.vmas} VMAs, {plan.children} children")
        target.dump_when_ready(
            ["/usr/bin/python3", "-m", "harness.worker.observer.observer",
             target.path_in_guest("observer.json"), "1"],
            report.feed, dump, console, mib=plan.memory_mib,
            files={"observer.json": render_observer_job(job)},
        )  # fmt: skip
        on_step(f"{name}: reading the kernel's memory")
        memory = Vmcore(dump, kernel.vmlinux, report.vmcoreinfo)
        return _Comparison(job, report, memory, on_step).of(cells, plan.children)


class _Comparison:
    """Compares the predictions for one guest with what the guest reported."""

    def __init__(
        self,
        job: ObserverJob,
        report: GuestReport,
        memory: "Vmcore",
        on_step: Callable[[str], None],
    ) -> None:
        self._job = job
        self._report = report
        self._memory = memory
        self._on_step = on_step
        self._vmas = self._structs = 0
        self._divergences: list[str] = []

    def of(self, cells: Sequence[Cell], children: int) -> Audit:
        """Compare the cycles, all cells and all traces."""
        make = _STORES[cells[0].store]
        counts = [self._cycles(make)]
        for index, cell in enumerate(cells):
            self._on_step(f"comparing {cell.naming.label}")
            counted = self._report.cell(index)
            model, rows = cell_counts(cell, children, make(), counted)
            counts += rows
            pids, start = self._report.stopped_cell(index)
            self._compare(
                cell.naming.label, model, cell.layout.arena_pages, pids, start
            )
        counts.append(self._traces(make))
        words = [words for table in counts for words in table.divergences]
        return Audit(
            counts=tuple(counts), vmas=self._vmas, structs=self._structs,
            divergences=(*words, *self._divergences), runs=tuple(self._report.runs),
        )  # fmt: skip

    def _cycles(self, make: type[NameStore]) -> CountTable:
        model = Model(store=make())
        for step in self._job.cycles.traces[0]:
            model.apply(step)
        # In the guest, the process of this trace has ended.
        model.mms[0].clear()
        report = self._report
        return leak_counts(
            "cycles", model.store, report.after("start"), report.after("cycles")
        )

    def _traces(self, make: type[NameStore]) -> CountTable:
        stores = []
        for index, steps in enumerate(self._job.held.traces):
            checker = TraceChecker(steps, self._report.kernel, make())
            stores.append(checker.model.store)
            diverged = None
            for seen in self._report.seen(index):
                diverged = diverged or checker.check(seen)
            if diverged is not None or checker.checked < len(steps):
                words = diverged.headline if diverged else "it ended early"
                self._divergences.append(f"trace {index}: {words}")
                continue
            pids, start = self._report.stopped_trace(index)
            self._compare(f"trace {index}", checker.model, _PAGES, pids, start)
        return call_counts(
            "traces", stores, self._report.after("cells"), self._report.after("traces")
        )

    def _compare(
        self, what: str, model: Model, pages: int, pids: list[int], start: int
    ) -> None:
        expected = named_vmas(model)
        end = start + pages * PAGE
        seen = {
            who: [v for v in self._memory.vmas(pid) if start <= v.start < end]
            for who, pid in enumerate(pids)
            if pid
        }
        self._vmas += len(expected)
        self._structs += len({each.struct for each in expected})
        difference = differing_names(expected, seen, start)
        if difference:
            self._divergences.append(f"{what}: {difference}")


def records_of(audit: Audit) -> Iterator[Record]:
    """The records of an audit: for each cell its run, its counts, and a sealed end."""
    for run in audit.runs:
        label = f"{run.naming}:{run.name_length}"
        tables = [table for table in audit.counts if table.what == label]
        # The label alone would also match a longer one: shared:7 begins shared:79.
        prefixes = (f"{label}, ", f"{label}: ")
        wrong = [words for words in audit.divergences if words.startswith(prefixes)]
        counts = [
            Count(
                run=run.run, step=table.step, what=str(entry.what),
                predicted=entry.predicted, counted=entry.counted, agrees=entry.agrees,
            )
            for table in tables
            for entry in table.entries
        ]  # fmt: skip
        lines = [render_record(run), *map(render_record, counts)]
        seal = hashlib.sha256(b"".join(lines)).hexdigest()
        yield run
        yield from counts
        yield RunEnd(
            run=run.run, valid=not wrong, reason="; ".join(wrong), seal=seal
        )  # fmt: skip


def _job(
    plan: AuditPlan, kernel: BuiltKernel, cells: Sequence[Cell], campaign: str
) -> ObserverJob:
    stores = kernel.variant.stores
    planned = tuple(PlannedCell(block=0, cell=cell) for cell in cells)
    sizes = slab_classes(kernel.arch.name, kernel.base)
    random_traces = traces(
        plan.seed, plan.operations, pages=_PAGES, length=_TRACE_LENGTH, themes=_THEMES
    )
    return ObserverJob(
        cells=Job(
            campaign=campaign, session=secrets.token_hex(4), boot=0, seed=plan.seed,
            variant=kernel.variant.name, base=kernel.base, stores=stores,
            conditions=ICOUNT, warmups=0, repetitions=0, cells=planned,
            launched=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        children=plan.children,
        caches=tuple(f"kmalloc-{size}" for size in sizes),
        functions=(ALLOC, FREE),
        cycles=ExecutorJob(pages=8, traces=(_cycles(plan.cycles),)),
        held=ExecutorJob(
            pages=_PAGES,
            traces=tuple(
                tuple(s for s in steps if not isinstance(s.op, Write | Lock))
                for steps in random_traces
            ),
        ),
    )  # fmt: skip


def _cycles(count: int) -> tuple[Step, ...]:
    """``count`` times: name, fork, rename in the child and in the parent, exit."""
    cycle = (
        Step(0, SetName(0, 8 * PAGE, "cycle")),
        Step(0, Fork(1)),
        Step(1, SetName(2, 2 * PAGE, "child")),
        Step(0, SetName(1, 4 * PAGE, "parent")),
        Step(1, Exit()),
    )
    return (Step(0, Map(0, 8, 3)), *cycle * count)
