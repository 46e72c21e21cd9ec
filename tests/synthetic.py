"""Records of campaigns that never ran: their costs are known, as they were given."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

import harness
from harness.analysis.records.gathering import Gathering
from harness.analysis.records.lines import block_of
from harness.analysis.records.pieces import frame_of
from harness.worker.measure import (
    PROTOCOL,
    SCHEMA,
    Record,
    Run,
    RunEnd,
    Sample,
    render_record,
)
from harness.workload import layout_of, naming_from_label

# A warmup costs so much more that one which is analysed is seen in any median.
WARMUP_COST = 10**12
EXIT_COST, MUNMAP_COST = 7, 9


def run_of(
    *,
    run: str = "s-0-0",
    variant: str = "switch",
    base: str = "6.12",
    store: str = "refcounted",
    vmas: int = 1000,
    pages: int = 0,
    naming: str = "none",
    boot: int = 0,
    position: int = 0,
    block: int = 0,
    target: str = "qemu",
    unit: str = "insns",
) -> Run:
    """A run of a cell, on the kernel that all runs of a variant and base have."""
    layout, scheme = layout_of(vmas, pages), naming_from_label(naming)
    return Run(
        schema=SCHEMA, run=run, campaign="c", session="s", boot=boot,
        boot_id=f"boot-{boot}", block=block, position=position, seed=1, variant=variant,
        base=base, store=store, vmas=layout.vmas, vma_pages=layout.vma_pages,
        written_pages=layout.written_pages, naming=scheme.kind.value,
        name_length=scheme.length, target=target, accelerator="tcg icount shift=0",
        clock="CLOCK_MONOTONIC", unit=unit, clock_step=16, machine="aarch64",
        cpu="0x00 0x051", pinned_cpu=0, fifo=True,
        kernel_release=f"{base}.1-{variant}", kernel_version="#1 SMP 1970-01-01",
        build_id=f"id of {variant} {base}", config_sha256=f"sha of {variant} {base}",
        settle_ms=2000, rest_ms=50, settings="vm.x=1",
        map_count=64 + vmas, max_map_count=65530,
        python="3.11.2", harness=harness.__version__, protocol=PROTOCOL,
        launched="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def samples_of(run: Run, forks: Sequence[int]) -> list[Sample]:
    """Every sample of a run: a warmup first, then forks that cost what is given."""
    taken = []
    for repetition, fork in enumerate([WARMUP_COST, *forks]):
        taken.append(("fork", fork, repetition))
        taken.append(("exit_reap", EXIT_COST, repetition))
    taken.append(("munmap", MUNMAP_COST, 0))
    return [
        Sample(
            run=run.run, order=order, began=order * 1000, metric=metric,
            unit=run.unit, value=value, store=run.store, repetition=repetition,
            warmup=metric != "munmap" and repetition == 0, valid=True, reason="",
        )
        for order, (metric, value, repetition) in enumerate(taken)
    ]  # fmt: skip


def whole_run(run: Run, forks: Sequence[int]) -> list[Record]:
    """The records of a run from its beginning to its valid end."""
    return sealed([run, *samples_of(run, forks)])


def sealed(records: Sequence[Run | Sample]) -> list[Record]:
    """The records of one run, and the valid end that belongs to them."""
    lines = b"".join(render_record(record) for record in records)
    seal = hashlib.sha256(lines).hexdigest()
    return [*records, RunEnd(run=records[0].run, valid=True, reason="", seal=seal)]


def cell_records(
    costs: Sequence[int],
    *,
    variant: str = "switch",
    base: str = "6.12",
    store: str = "refcounted",
    vmas: int = 1000,
    pages: int = 0,
    naming: str = "none",
) -> list[Record]:
    """The records of a cell in as many boots as there are costs.

    The median of the forks of each boot is its cost; their mean is not.
    """
    records: list[Record] = []
    for boot, cost in enumerate(costs):
        run = run_of(
            run=f"{boot}-{variant}-{base}-{store}-{vmas}-{pages}-{naming}",
            variant=variant, base=base, store=store, vmas=vmas, pages=pages,
            naming=naming, boot=boot,
        )  # fmt: skip
        records += whole_run(run, [cost, cost - 1, cost + 5000])
    return records


def write_records(folder: Path, records: Iterable[Record]) -> Path:
    """A campaign's folder with these records in it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = b"".join(render_record(record) for record in records)
    (folder / "records.jsonl").write_bytes(text)
    return folder


def frame_of_records(records: Iterable[Record]) -> pd.DataFrame:
    """Records as ``load`` would have them from a file."""
    gathering = Gathering(Path("records"))
    samples = gathering.take(block_of(records))
    return frame_of([gathering.joined().table(samples)], len(samples))
