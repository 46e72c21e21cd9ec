"""The commands: each takes a frozen request and returns an exit status."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.campaign import (
    Listener,
    Outcome,
    TargetChoice,
    appended_records,
    campaign_folder,
    check_names,
    chosen_target,
    keep_plan,
    remove_empty_campaign,
    run_plan,
    subjects_of,
)
from harness.cli.places import (
    check_file,
    check_folder,
    check_given_folder,
    check_not_in_use,
    check_suffix,
)
from harness.cli.progress import Progress
from harness.cli.requests import (
    BootRequest,
    BuildRequest,
    ExportRequest,
    ImageRequest,
    ProbeRequest,
    ReportRequest,
    RunRequest,
    ShowRequest,
)
from harness.cli.tables import (
    print_metric,
    stdout_console,
)
from harness.errors import HarnessError, UsageError
from harness.finding import find_campaign, newest_campaign
from harness.kbuild import build_kernel, variant_named
from harness.kbuild.mutant import mutant_named, mutant_variant
from harness.measure import Record
from harness.programs import printable
from harness.scratch import scratch_folder
from harness.target import (
    COMMAND_MIB,
    IMAGE_MIB,
    Accelerator,
    GuestTarget,
    QemuTarget,
    UmlTarget,
    make_image,
    read_image,
    write_pyz,
)

DONE, UNCHECKED = 0, 1


def build(request: BuildRequest) -> int:
    """Build kernels, and print where each image is."""
    variants = [
        *map(variant_named, request.variants),
        *(mutant_variant(mutant_named(name)) for name in request.mutants),
    ]
    with Progress() as progress:
        for base in request.bases:
            for variant in variants:
                kernel = build_kernel(
                    variant, base, request.arch, on_step=progress.step
                )
                progress.result(
                    f"{variant.name} {base} {request.arch.name}: {kernel.image}\n"
                )
    return DONE


def boot(request: BootRequest) -> int:
    """Run one command in a guest, or give the terminal to a shell in it."""
    if not request.command and not sys.stdin.isatty():
        raise UsageError("a shell needs a terminal; give a command after --")
    for folder in request.share:
        check_given_folder("--share", folder)
    with Progress() as progress:
        target = _boot_target(request, progress)
    mib = request.memory_mib or (IMAGE_MIB if request.image else COMMAND_MIB)
    with scratch_folder() as scratch:
        console = scratch / "console.txt"
        if not request.command:
            return target.run_shell(console, mib=mib)
        return target.run_command(
            request.command,
            lambda chunk: _write_all(sys.stdout.fileno(), chunk),
            console,
            mib=mib,
        )


def _boot_target(request: BootRequest, progress: Progress) -> GuestTarget:
    choice = request.choice
    if request.image is not None:
        image = read_image(request.image)
        return QemuTarget(
            arch=image.arch, kernel=image.kernel, root=image.root,
            deadlines=choice.deadlines,
            accelerator=choice.accelerator or Accelerator.ICOUNT,
        )  # fmt: skip
    target = chosen_target(choice, request.variant, request.base, on_step=progress.step)
    if isinstance(target, UmlTarget):
        return replace(target, share=request.share)
    return target


def run(request: RunRequest) -> int:
    """Measure what is left of a plan on each target, and print its table.

    1 when a cell failed its check, or could not be measured here.
    """
    folder = campaign_folder(request.results, request.name)
    outcomes = []
    with (
        Progress() as progress,
        appended_records(folder, on_step=progress.line) as append,
    ):
        try:
            keep_plan(folder, request.plan, request.argv)
            for choice in request.choices:
                # A kernel of the user's has a base of its own: it is measured once.
                bases = request.plan.bases
                for base in bases[:1] if choice.foreign else bases:
                    outcomes.append(
                        _run_on(choice, base, request, folder, append, progress)
                    )
        except (HarnessError, KeyboardInterrupt) as error:
            # What cannot be meant will not go on when it is said again.
            meant = not isinstance(error, UsageError)
            if not remove_empty_campaign(folder) and meant:
                progress.line(
                    f"what was recorded before is kept: anonvma show {folder}; to go "
                    f"on with it, the same command with --name {folder.name}"
                )
            raise
        progress.line(_told(outcomes))
    invalid = [reason for outcome in outcomes for reason in outcome.invalid]
    for reason in invalid:
        print(f"not measured: {printable(reason)}", file=sys.stderr)
    if sum(outcome.kept + outcome.ended for outcome in outcomes) > len(invalid):
        _show(folder, ("fork",))
    return UNCHECKED if invalid else DONE


def _told(outcomes: Sequence[Outcome]) -> str:
    kept = sum(outcome.kept for outcome in outcomes)
    done = kept + sum(outcome.ended for outcome in outcomes)
    planned = sum(outcome.planned for outcome in outcomes)
    if kept == planned:
        return f"all {planned} cells were measured before; --boots N adds boots"
    before = f", {kept} of them before" if kept else ""
    return f"{done} of {planned} cells measured{before}"


def _run_on(
    choice: TargetChoice,
    base: str,
    request: RunRequest,
    folder: Path,
    append: Callable[[Record], None],
    progress: Progress,
) -> Outcome:
    plan = request.plan
    subjects = subjects_of(choice, plan.variants, base, on_step=progress.step)
    check_names(plan, subjects)
    progress.step(f"measuring on {choice.kind}; records go to {folder}")
    return run_plan(
        plan,
        subjects,
        folder=folder,
        append=append,
        listener=Listener(on_step=progress.step, on_cell=progress.cell),
        parallel=request.parallel,
    )


def image(request: ImageRequest) -> int:
    """Make an image, and say how to boot it."""
    check_given_folder("--wheels", request.wheels)
    check_folder(request.out)
    with Progress() as progress:
        kernel = build_kernel(
            variant_named(request.variant), request.base, request.arch,
            on_step=progress.step,
        )  # fmt: skip
        make_image(
            request.out, kernel.image, request.arch, wheels=request.wheels,
            on_step=progress.step,
        )  # fmt: skip
    out = printable(str(request.out))
    print(f"made {out}; a shell in it: anonvma boot --image {out}")
    return DONE


def probe(request: ProbeRequest) -> int:
    """Make the one file, and say how to use it."""
    check_file(request.out)
    write_pyz(request.out)
    print(
        f"made {printable(str(request.out))}; where it is to measure: "
        f"python3 {printable(request.out.name)} run --out records.jsonl"
    )
    return DONE


def report(request: ReportRequest) -> int:
    """Write a campaign's page, or print it as a mail."""
    from harness.analysis.mail import render_mail
    from harness.analysis.page import render_page
    from harness.analysis.report import report_of

    path = find_campaign(request.campaign, request.results)
    if request.out is not None:
        check_suffix(request.out, ".html")
    made = report_of(path)
    if request.text:
        print(render_mail(made), end="")
        return DONE
    out = request.out or page_of(path)
    try:
        out.write_text(render_page(made))
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error}") from None
    print(f"made {printable(str(out))}")
    return DONE


def page_of(campaign: Path) -> Path:
    """Where the page of a campaign goes, unless it was said; dots of a name stay."""
    name = campaign.absolute().name
    return Path(f"{name.removesuffix('.parquet')}.html")


def export(request: ExportRequest) -> int:
    """Write a campaign as one Parquet that says what it is."""
    from harness.analysis.identity import export_campaign

    path = find_campaign(request.campaign, request.results)
    check_suffix(request.out, ".parquet")
    check_not_in_use(request.out, path)
    try:
        export_campaign(path, request.out)
    except OSError as error:
        raise UsageError(f"{request.out} cannot be written: {error}") from None
    print(f"made {printable(str(request.out))}")
    return DONE


def show(request: ShowRequest) -> int:
    """Print the table of a campaign."""
    if request.path is None:
        return _show(newest_campaign(request.results), request.metrics)
    return _show(find_campaign(request.path, request.results), request.metrics)


def _show(path: Path, metrics: Sequence[str]) -> int:
    # pandas takes a second to import: only what needs it waits for it.
    from harness.analysis import (
        TABLE_COLUMNS,
        distrust,
        load,
        metric_tables,
        stream_parquet,
    )
    from harness.analysis.identity import DEFAULT_MARGIN, margin_of

    kept = path / "records.parquet"
    unwritten: OSError | None = None
    if path.is_dir():
        try:
            stream_parquet(path, kept)
        except OSError as error:
            # The table can be had all the same.
            unwritten = error
    readable = kept if path.is_dir() and unwritten is None else path
    frame = load(readable, TABLE_COLUMNS)
    told = margin_of(path)
    margin = DEFAULT_MARGIN if told is None else told
    console = stdout_console()
    recorded = list(frame["metric"].unique())
    for metric in metrics:
        print_metric(metric_tables(frame, metric, margin=margin), console)
    for warning in distrust(frame, metrics[0], margin=margin):
        console.print(f"distrust: {printable(warning)}", soft_wrap=True)
    if others := [each for each in recorded if each not in metrics]:
        console.print(f"also recorded: {', '.join(others)}; --metric NAME or all")
    if unwritten is not None:
        raise unwritten
    if path.is_dir():
        console.print(f"{len(frame)} samples: {kept}", soft_wrap=True)
    return DONE


def _write_all(fd: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(fd, chunk) :]
