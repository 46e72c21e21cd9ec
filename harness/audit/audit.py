"""What a kernel really holds, against the model's accounting.

One guest: processes are brought to a state and held, the kernel's own counters are
read on the way, its memory is dumped. The model predicts every number: calls of
the functions that make and free name structs, objects of each slab class, which
VMAs share a struct, and each struct's count of references.
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
    Balance,
    calls_balance,
    cell_balances,
    differing_names,
    leak_balance,
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
# Names, flags, every kind of mapping, and processes; nothing that is written: of
# two equal structs that merge then, which one stays is the kernel's to say.
_THEMES = (Theme.NAMES, Theme.FAMILY, Theme.KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPlan:
    """Cells of ``vmas`` VMAs, one for each scheme, each with ``children`` children.

    Besides ``cycles`` times name, fork, rename and exit, and random traces of
    ``operations`` in all.
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
                f"a process has 0 to {MOST_CHILDREN} children here, not {self.children}"
            )

    @property
    def memory_mib(self) -> int:
        """Guest memory that all processes fit in at once, in MiB."""
        held = self.vmas * (1 + self.children) * len(self.namings)
        return 640 + (held * 1280 >> 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What came of a kernel: ``balances`` of what was counted; what was compared.

    ``vmas`` named ones had their structs compared, ``structs`` in all;
    ``divergences`` are sentences, none where the kernel holds what it should.
    """

    balances: tuple[Balance, ...]
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
    """Hold one readable kernel to account, in a guest of its own.

    Raises GuestError's subclasses; EnvironmentFault for a dump that cannot be
    written or read.
    """
    # Not in an image, which has no kernel to look into.
    from harness.audit.vmcore import Vmcore

    store = kernel.variant.stores[0]
    if store not in _STORES:
        raise UsageError(f"variant {kernel.variant.name} keeps no names to look at")
    cells = [
        Cell(store=store, layout=Layout(vmas=plan.vmas), naming=naming)
        for naming in plan.namings
    ]
    job = _job(plan, kernel, cells, campaign)
    guest_report = GuestReport()
    with scratch_folder() as scratch:
        dump, console = scratch / "memory", scratch / "console.txt"
        name = f"{kernel.variant.name}-{kernel.base}"
        on_step(f"{name}: {plan.vmas} VMAs, {plan.children} children")
        target.dump_when_held(
            ["/usr/bin/python3", "-m", "harness.worker.observer.observer",
             target.place_of("observer.json"), "1"],
            guest_report.hear, dump, console, mib=plan.memory_mib,
            files={"observer.json": render_observer_job(job)},
        )  # fmt: skip
        on_step(f"{name}: reading the kernel's memory")
        memory = Vmcore(dump, kernel.vmlinux, guest_report.vmcoreinfo)
        return _Comparison(job, guest_report, memory, on_step).of(cells, plan.children)


class _Comparison:
    """Of what was predicted for one guest with what was found."""

    def __init__(
        self,
        job: ObserverJob,
        guest_report: GuestReport,
        memory: "Vmcore",
        on_step: Callable[[str], None],
    ) -> None:
        self._job = job
        self._said = guest_report
        self._memory = memory
        self._on_step = on_step
        self._vmas = self._structs = 0
        self._divergences: list[str] = []

    def of(self, cells: Sequence[Cell], children: int) -> Audit:
        """Everything there is to compare."""
        make = _STORES[cells[0].store]
        balances = [self._cycles(make)]
        for index, cell in enumerate(cells):
            self._on_step(f"comparing {cell.naming.label}")
            counted = self._said.cell(index)
            model, rows = cell_balances(cell, children, make(), counted)
            balances += rows
            held = self._said.held_cell(index)
            self._compare(cell.naming.label, model, cell.layout.arena_pages, *held)
        balances.append(self._traces(make))
        words = [words for balance in balances for words in balance.divergences]
        return Audit(
            balances=tuple(balances), vmas=self._vmas, structs=self._structs,
            divergences=(*words, *self._divergences), runs=tuple(self._said.runs),
        )  # fmt: skip

    def _cycles(self, make: type[NameStore]) -> Balance:
        model = Model(store=make())
        for step in self._job.cycles.traces[0]:
            model.apply(step)
        # Its process has ended.
        model.mms[0].clear()
        said = self._said
        return leak_balance(
            "cycles", model.store, said.after("start"), said.after("cycles")
        )

    def _traces(self, make: type[NameStore]) -> Balance:
        stores = []
        for index, steps in enumerate(self._job.held.traces):
            checker = TraceChecker(steps, self._said.kernel, make())
            stores.append(checker.model.store)
            diverged = None
            for seen in self._said.seen(index):
                diverged = diverged or checker.check(seen)
            if diverged is not None or checker.checked < len(steps):
                words = diverged.headline if diverged else "not played to its end"
                self._divergences.append(f"trace {index}: {words}")
                continue
            held = self._said.held_trace(index)
            self._compare(f"trace {index}", checker.model, _PAGES, *held)
        return calls_balance(
            "traces", stores, self._said.after("cells"), self._said.after("traces")
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
        self._structs += len({held.struct for held in expected})
        difference = differing_names(expected, seen, start)
        if difference:
            self._divergences.append(f"{what}: {difference}")


def records_of(audit: Audit) -> Iterator[Record]:
    """A run for each cell, with what was predicted and counted; sealed."""
    for run in audit.runs:
        label = f"{run.naming}:{run.name_length}"
        rows = [balance for balance in audit.balances if balance.what == label]
        # shared:7 is the beginning of shared:79 too.
        ours = (f"{label}, ", f"{label}: ")
        wrong = [words for words in audit.divergences if words.startswith(ours)]
        counts = [
            Count(
                run=run.run, step=balance.step, what=str(entry.what),
                predicted=entry.predicted, counted=entry.counted, agrees=entry.agrees,
            )
            for balance in rows
            for entry in balance.entries
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
    """Name, fork, rename in the child and in the parent, exit; over and over."""
    cycle = (
        Step(0, SetName(0, 8 * PAGE, "cycle")),
        Step(0, Fork(1)),
        Step(1, SetName(2, 2 * PAGE, "child")),
        Step(0, SetName(1, 4 * PAGE, "parent")),
        Step(1, Exit()),
    )
    return (Step(0, Map(0, 8, 3)), *cycle * count)
