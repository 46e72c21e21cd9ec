"""One job by two revisions' workers, in alternating boots of one kernel.

Boots count instructions, so that neighbours and load change nothing. The old
worker is that of a git revision, the new one this checkout's; each is started by
its own package: what a revision boots and sets is a part of what it measures.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.arch import arch_named
from harness.errors import HarnessError, JobFailed
from harness.host.programs import printable, run_logged, tail_of
from harness.kbuild import build_kernel, variant_named
from harness.targets import guest_root
from harness.worker.measure import Job, PlannedCell, render_job
from harness.worker.measure.conditions import ICOUNT
from harness.workload import Cell, all_cells, interleaved, layout_of, naming_from_label
from tests.protocol.judging import LEAST_BOOTS, Held, Number, held, numbers_of
from tests.protocol.revisions import copy_of_checkout, unpack

_PLAYER = Path(__file__).with_name("player.py")
_VARIANT, _BASE = "switch", "6.12"
_VMAS = (1_000, 16_000, 65_536)
_NAMING = "distinct:79"
# Small, with a page to split off beside one that is written: every metric.
_ALL_METRICS = layout_of(2_000, 1, 2)
_DEADLINE_S = 1800.0
_SAME, _DIFFERS = 0, 1


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's name and the folder that its package is in."""

    name: str
    tree: Path


def cells_of_job() -> list[Cell]:
    """Unnamed and named in both stores, small to large, and one with every metric."""
    stores = variant_named(_VARIANT).stores
    cells = all_cells(_VMAS, (0,), (_NAMING,), stores)
    naming = naming_from_label(_NAMING)
    return cells + [
        Cell(store=store, layout=_ALL_METRICS, naming=naming) for store in stores
    ]


def job_of_boot(boot: int, cells: Sequence[Cell]) -> Job:
    """What both workers play in a boot: one order for both."""
    order = interleaved(cells, blocks=1, seed=f"protocol {boot}")
    return Job(
        campaign="protocol", session="protocol", boot=boot, seed=1, variant=_VARIANT,
        base=_BASE, stores=variant_named(_VARIANT).stores, conditions=ICOUNT,
        launched="", warmups=1, repetitions=3,
        cells=tuple(PlannedCell(block=block, cell=cell) for block, cell in order),
    )  # fmt: skip


def play(worker: Worker, job: Job, kernel: Path, scratch: Path) -> dict[Number, float]:
    """The numbers of one boot. Raises JobFailed, with the end of what was said."""
    made = scratch / f"{worker.name}-{job.boot}"
    made.mkdir()
    (made / "job.json").write_bytes(render_job(job))
    log = made / "log"
    status = run_logged(
        [
            sys.executable, str(_PLAYER), str(kernel), str(made / "console.txt"),
            str(made / "job.json"),
        ],
        log,
        deadline_s=_DEADLINE_S,
        env={**os.environ, "PYTHONPATH": str(worker.tree)},
    )  # fmt: skip
    if status != 0:
        how = f"ended with status {status}" if status else f"took over {_DEADLINE_S} s"
        raise JobFailed(f"boot {job.boot} of {worker.name} {how}", tail_of(log))
    lines = log.read_bytes().splitlines()
    return numbers_of(line for line in lines if line.startswith(b"{"))


def compare_workers(
    old: Worker, new: Worker, *, boots: int, parallel: int, scratch: Path
) -> list[Held]:
    """Play ``boots`` boots of each, by turns, and hold their numbers together."""
    arch = arch_named("aarch64")
    kernel = build_kernel(variant_named(_VARIANT), _BASE, arch, on_step=_say)
    _say("making the guest's root")
    guest_root(arch)
    cells = cells_of_job()
    order = [
        (worker, boot)
        for boot in range(boots)
        for worker in ((old, new) if boot % 2 == 0 else (new, old))
    ]

    def played(worker: Worker, boot: int) -> dict[Number, float]:
        numbers = play(worker, job_of_boot(boot, cells), kernel.image, scratch)
        _say(f"boot {boot} of {worker.name} is over")
        return numbers

    with ThreadPoolExecutor(parallel) as pool:
        futures = [
            (worker, pool.submit(played, worker, boot)) for worker, boot in order
        ]
        try:
            done = [(worker, future.result()) for worker, future in futures]
        finally:
            pool.shutdown(cancel_futures=True)
    return held(*([n for w, n in done if w is which] for which in (old, new)))


def table(rows: Sequence[Held]) -> str:
    """The rows as text, those that differ marked."""
    lines = [f"{'metric':9} {'cell':46} {'old':>13} {'new - old':>11} {'A/A null':>10}"]
    lines += [
        f"{row.number.metric:9} {row.number.label:46} {row.old:13,.0f} "
        f"{row.percent:+9.4f} % {row.null:8.4f} %" + ("" if row.same else "  differs")
        for row in rows
    ]
    return "\n".join(lines)


def verdict(rows: Sequence[Held]) -> tuple[int, str]:
    """The exit status and what it says."""
    differing = sum(not row.same for row in rows)
    if not differing:
        return _SAME, "same protocol: no number differs by more than the A/A null"
    return _DIFFERS, (
        f"the protocol number must grow: {differing} of {len(rows)} numbers differ by "
        "more than the A/A null"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print the table and the verdict: 0 the same, 1 another protocol."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="protocol-") as folder:
        scratch = Path(folder)
        old, new = Worker("old", scratch / "old-tree"), Worker("new", scratch / "tree")
        try:
            copy_of_checkout(new.tree)
            unpack(options.old, old.tree)
            rows = compare_workers(
                old, new,
                boots=options.boots, parallel=options.jobs, scratch=scratch,
            )  # fmt: skip
        except HarnessError as error:
            print(f"protocol: {error}", file=sys.stderr)
            return error.status
    print(table(rows))
    status, words = verdict(rows)
    print(words)
    return status


def _boots(text: str) -> int:
    number = int(text)
    if not LEAST_BOOTS <= number <= 1000:
        raise argparse.ArgumentTypeError(
            f"expected {LEAST_BOOTS} to 1000 boots of each worker, not {number}"
        )
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="protocol",
        description="Whether this worker measures as that of an older revision did.",
    )
    parser.add_argument(
        "old", metavar="REVISION", help="the older one, as git knows it"
    )
    parser.add_argument("--boots", type=_boots, default=6, help="of each worker")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="guests at a time"
    )
    return parser


def _say(step: str) -> None:
    print(f"protocol: {printable(step)}", file=sys.stderr, flush=True)
