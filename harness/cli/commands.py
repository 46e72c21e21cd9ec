"""The commands: each takes a frozen request and returns an exit status."""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from harness.arch import Arch
from harness.campaign import (
    Listener,
    Plan,
    appended_records,
    build_kernels,
    campaign_folder,
    keep_plan,
    run_plan,
)
from harness.cli.progress import Progress
from harness.cli.tables import (
    print_fork_tables,
    print_unnamed_table,
    stdout_console,
)
from harness.doctor import examine
from harness.errors import HarnessError, UsageError
from harness.kbuild import build_kernel, variant_named
from harness.programs import printable
from harness.target import Deadlines, QemuTarget, guest_root

DONE, UNCHECKED, ENVIRONMENT = 0, 1, 3


@dataclass(frozen=True, slots=True)
class DoctorRequest:
    """What ``anonvma doctor`` was asked."""

    arch: Arch


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What ``anonvma build`` was asked."""

    variants: tuple[str, ...]
    bases: tuple[str, ...]
    arch: Arch


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRequest:
    """What ``anonvma boot`` was asked; without a command, a shell."""

    variant: str
    base: str
    arch: Arch
    memory_mib: int
    deadline_s: float
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What ``anonvma run`` was asked."""

    plan: Plan
    arch: Arch
    results: Path
    name: str | None
    parallel: int
    deadlines: Deadlines
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShowRequest:
    """What ``anonvma show`` was asked; without a path, the newest campaign."""

    path: Path | None
    results: Path


Request = DoctorRequest | BuildRequest | BootRequest | RunRequest | ShowRequest


def doctor(request: DoctorRequest) -> int:
    """Print what was found; 3 when something that guests need is missing."""
    findings = examine(request.arch)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    for finding in findings:
        sign = "ok" if finding.well else "MISSING" if finding.needed else "note"
        table.add_row(sign, finding.subject, finding.found)
    console = stdout_console()
    console.print(table)
    amiss = [f for f in findings if not f.well]
    for finding in amiss:
        console.print(f"{finding.subject}: {finding.mend}")
    if any(f.needed for f in amiss):
        console.print("to install all that is missing, as root: make setup")
        return ENVIRONMENT
    console.print("guests can be built and run here: anonvma run")
    return DONE


def build(request: BuildRequest) -> int:
    """Build kernels, and print where each image is."""
    with Progress() as progress:
        for base in request.bases:
            for name in request.variants:
                kernel = build_kernel(
                    variant_named(name), base, request.arch, on_step=progress.step
                )
                print(f"{name} {base} {request.arch.name}: {kernel.image}", flush=True)
    return DONE


def boot(request: BootRequest) -> int:
    """Run one command in a guest, or give the terminal to a shell in it."""
    if not request.command and not sys.stdin.isatty():
        raise UsageError("a shell needs a terminal; give a command after --")
    with Progress() as progress:
        kernel = build_kernel(
            variant_named(request.variant), request.base, request.arch,
            on_step=progress.step,
        )  # fmt: skip
        guest_root(request.arch)
    limit = request.deadline_s
    target = QemuTarget(
        arch=request.arch,
        kernel=kernel.image,
        deadlines=Deadlines(boot_s=limit, silence_s=limit, total_s=limit),
    )
    with tempfile.TemporaryDirectory() as scratch:
        console = Path(scratch) / "console.txt"
        if not request.command:
            return target.run_shell(console, mib=request.memory_mib)
        return target.run_command(
            request.command,
            lambda chunk: _write_all(sys.stdout.fileno(), chunk),
            console,
            mib=request.memory_mib,
        )


def run(request: RunRequest) -> int:
    """Measure a plan and print its table; 1 when a cell failed its check."""
    folder = campaign_folder(request.results, request.name)
    keep_plan(folder, request.plan, request.argv)
    with Progress() as progress:
        listener = Listener(on_step=progress.step, on_cell=progress.cell)
        kernels = build_kernels(request.plan, request.arch, listener)
        progress.step("making the guest's root")
        guest_root(request.arch)
        progress.step(f"booting guests; records go to {folder}")
        try:
            with appended_records(folder) as append:
                outcome = run_plan(
                    request.plan,
                    kernels,
                    folder=folder,
                    append=append,
                    listener=listener,
                    parallel=request.parallel,
                    deadlines=request.deadlines,
                )
        except (HarnessError, KeyboardInterrupt):
            progress.line(f"what was recorded before is kept: anonvma show {folder}")
            raise
        progress.line(f"{outcome.ended} of {outcome.planned} cells measured")
    for reason in outcome.invalid:
        print(f"not measured, its check failed: {printable(reason)}", file=sys.stderr)
    if outcome.ended > len(outcome.invalid):
        _show(folder)
    return UNCHECKED if outcome.invalid else DONE


def show(request: ShowRequest) -> int:
    """Print the table of a campaign."""
    path = request.path
    if path is None:
        campaigns = sorted(
            (p.parent for p in request.results.glob("*/records.jsonl")),
            key=lambda p: p.stat().st_mtime,
        )
        if not campaigns:
            raise UsageError(
                f"there is no campaign in {request.results}; try anonvma run"
            )
        path = campaigns[-1]
    elif not path.exists() and (request.results / path).exists():
        path = request.results / path
    return _show(path)


def _show(path: Path) -> int:
    # pandas takes a second to import: only what needs it waits for it.
    from harness.analysis import (
        distrust,
        fork_table,
        load,
        unnamed_table,
        write_parquet,
    )

    frame = load(path)
    console = stdout_console()
    if rows := fork_table(frame):
        print_fork_tables(rows, console)
    if unnamed := unnamed_table(frame):
        print_unnamed_table(unnamed, console)
    if not rows and not unnamed:
        console.print("no cell has been measured to its end yet")
    for warning in distrust(frame):
        console.print(f"distrust: {printable(warning)}", soft_wrap=True)
    if path.is_dir():
        write_parquet(frame, path / "records.parquet")
        console.print(
            f"{len(frame)} samples: {path / 'records.parquet'}", soft_wrap=True
        )
    return DONE


def _write_all(fd: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(fd, chunk) :]
