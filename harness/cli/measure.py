"""Commands that add records to a campaign: run, import."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.campaign import (
    Listener,
    Outcome,
    Plan,
    append_file,
    appended_records,
    campaign_folder,
    check_names,
    keep_plan,
    preset_names,
    read_plan,
    read_preset,
    remove_empty_campaign,
    run_plan,
)
from harness.cli.arguments import (
    add_kernels,
    add_results,
    add_target,
    count,
    count_from_0,
    counts,
    counts_from_0,
    path,
    percent,
    seconds,
    words,
)
from harness.cli.choices import choices_of, chosen_kernels
from harness.cli.command import Command
from harness.cli.progress import Progress
from harness.cli.results import show_campaign
from harness.errors import HarnessError, UsageError
from harness.host.campaign_folders import RECORDS
from harness.host.programs import printable
from harness.host.scratch import scratch_folder
from harness.targets import Deadlines
from harness.targets.subjects import TARGETS, TargetChoice, subjects_of
from harness.worker.measure import Record, Run, render_record

DONE, UNCHECKED = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The arguments of ``anonvma run``; each of ``choices`` runs the whole plan."""

    plan: Plan
    choices: tuple[TargetChoice, ...]
    results: Path
    name: str | None
    parallel: int
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """The arguments of ``anonvma import``."""

    records: Path
    results: Path
    name: str | None


def _add_run(sub: argparse.ArgumentParser) -> None:
    _add_plan(sub.add_argument_group("plan"), Plan())
    where = sub.add_argument_group("where")
    add_target(
        where,
        f"where the kernel runs: {', '.join(TARGETS)} (default: qemu)",
        single=False,
    )
    how = sub.add_argument_group("how")
    how.add_argument(
        "--name",
        help="campaign name; an existing campaign is resumed (default: a new one)",
    )
    how.add_argument(
        "--jobs",
        type=count,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="guests in parallel (default: one per CPU; always 1 when measuring time)",
    )
    how.add_argument(
        "--boot-deadline",
        type=seconds,
        default=Deadlines().boot_s,
        metavar="S",
        help="seconds to wait for a guest's first record (default: %(default)g)",
    )
    how.add_argument(
        "--silence-deadline",
        type=seconds,
        default=Deadlines().silence_s,
        metavar="S",
        help="seconds to wait for each further record (default: %(default)g)",
    )
    how.add_argument(
        "--deadline",
        type=seconds,
        default=Deadlines().total_s,
        metavar="S",
        help="seconds that a guest may run in total (default: %(default)g)",
    )
    add_results(how)


def _add_plan(plan: argparse._ArgumentGroup, default: Plan) -> None:
    given = plan.add_mutually_exclusive_group()
    given.add_argument(
        "--plan", type=path, metavar="FILE", help="read the plan from a TOML file"
    )
    given.add_argument(
        "--campaign",
        metavar="NAME",
        help=f"use a plan of the project: {', '.join(preset_names())}",
    )
    add_kernels(plan, variant="switch")
    # An option that is not given takes the plan's value.
    plan.set_defaults(variants=None, bases=None)
    plan.add_argument(
        "--vmas", type=counts, metavar="N,N",
        help=f"numbers of VMAs to name (default: {_listed(default.vmas)})",
    )  # fmt: skip
    plan.add_argument(
        "--pages",
        type=counts_from_0,
        metavar="N,N",
        help="numbers of pages to write in each VMA, such as 0,1,10 "
        f"(default: {_listed(default.pages)})",
    )
    plan.add_argument(
        "--naming",
        type=words,
        metavar="SCHEME:LENGTH,...",
        help="naming schemes: shared:79 (one name struct for all VMAs), distinct:79 "
        "(one per VMA), distinct-same-text:79, none; 79 is the length in bytes "
        f"(default: {_listed(default.naming)})",
    )
    plan.add_argument(
        "--vma-pages", type=count, metavar="N",
        help="smallest size of a VMA in pages; from 2 on, splits are measured too "
        f"(default: {default.vma_pages})",
    )  # fmt: skip
    plan.add_argument(
        "--margin", type=percent, metavar="PERCENT",
        help=f"differences up to this count as none (default: {default.margin:g})",
    )  # fmt: skip
    plan.add_argument(
        "--boots", type=count, metavar="N",
        help=f"boots of each variant (default: {default.boots})",
    )  # fmt: skip
    plan.add_argument(
        "--blocks",
        type=count,
        metavar="N",
        help=f"rounds over all cells per boot (default: {default.blocks})",
    )
    plan.add_argument(
        "--repetitions", type=count, metavar="N",
        help=f"measured forks per process (default: {default.repetitions})",
    )  # fmt: skip
    plan.add_argument(
        "--warmups",
        type=count_from_0,
        metavar="N",
        help="forks before the measured ones; recorded, but not analysed "
        f"(default: {default.warmups})",
    )
    plan.add_argument(
        "--seed",
        type=count_from_0,
        metavar="N",
        help=f"seed of the random order and of page contents (default: {default.seed})",
    )


def _listed(values: tuple[object, ...]) -> str:
    return ",".join(map(str, values))


def _run_request(options: argparse.Namespace, arguments: Sequence[str]) -> RunRequest:
    fields: dict[str, object] = {}
    if options.plan is not None:
        fields = read_plan(options.plan)
    elif options.campaign is not None:
        fields = read_preset(options.campaign)
    for name in Plan.__dataclass_fields__:
        if getattr(options, name) is not None:
            fields[name] = getattr(options, name)
    limits = Deadlines(
        boot_s=options.boot_deadline,
        silence_s=options.silence_deadline,
        total_s=options.deadline,
    )
    choices = choices_of(options, limits)
    # read_plan and the options' types have checked the types.
    fields["variants"], fields["bases"] = chosen_kernels(
        fields.get("variants", Plan().variants),  # type: ignore[arg-type]
        fields.get("bases", Plan().bases),  # type: ignore[arg-type]
    )
    return RunRequest(
        plan=Plan(**fields),  # type: ignore[arg-type]
        choices=choices,
        results=options.results,
        name=options.name,
        parallel=options.jobs,
        argv=("anonvma", *arguments),
    )


def run(request: RunRequest) -> int:
    """Measure the unfinished cells of a plan on each target, and print the table.

    Returns 1 if a cell failed its check or could not be measured.
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
                # The user's own kernel has no base of ours, so it is measured once.
                bases = request.plan.bases
                for base in bases[:1] if choice.foreign else bases:
                    outcomes.append(
                        _run_on(choice, base, request, folder, append, progress)
                    )
        except (HarnessError, KeyboardInterrupt) as error:
            # A usage error would fail again, so no retry is suggested.
            may_retry = not isinstance(error, UsageError)
            if not remove_empty_campaign(folder) and may_retry:
                progress.line(
                    f"records so far are kept (anonvma show {folder}); to resume, "
                    f"repeat the command with --name {folder.name}"
                )
            raise
        progress.line(_summary(outcomes))
    invalid = [reason for outcome in outcomes for reason in outcome.invalid]
    for reason in invalid:
        print(f"not measured: {printable(reason)}", file=sys.stderr)
    if sum(outcome.kept + outcome.ended for outcome in outcomes) > len(invalid):
        show_campaign(folder, ("fork",))
    return UNCHECKED if invalid else DONE


def _summary(outcomes: Sequence[Outcome]) -> str:
    kept = sum(outcome.kept for outcome in outcomes)
    done = kept + sum(outcome.ended for outcome in outcomes)
    planned = sum(outcome.planned for outcome in outcomes)
    if kept == planned:
        return f"all {planned} cells were measured before; raise --boots to add boots"
    before = f" ({kept} of them before)" if kept else ""
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


def _add_import(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "records", type=path, metavar="RECORDS", help="a file records.jsonl"
    )
    sub.add_argument("--name", help="name of the campaign (default: a new one)")
    add_results(sub)


def _import_request(options: argparse.Namespace, _: Sequence[str]) -> ImportRequest:
    return ImportRequest(
        records=options.records, results=options.results, name=options.name
    )


def import_records(request: ImportRequest) -> int:
    """Append records from elsewhere to a campaign: all of them, or none. Returns 0."""
    # pandas takes a second to import, so only this command imports it.
    from harness.campaign.importing import check_fits, foreign_records

    with scratch_folder() as scratch:
        # Check every record before appending any. The checked copy is appended, so
        # that a file that changes meanwhile does no harm.
        copy = scratch / RECORDS
        runs = []
        count = 0
        with open(copy, "wb") as file:
            for record in foreign_records(request.records):
                count += 1
                file.write(render_record(record))
                if isinstance(record, Run):
                    runs.append(record)
        folder = campaign_folder(request.results, request.name)
        with appended_records(folder):
            try:
                check_fits(runs, folder)
                append_file(folder, copy)
            except BaseException:
                remove_empty_campaign(folder)
                raise
    where = printable(str(folder))
    print(
        f"imported {len(runs)} runs, {count} records: anonvma show {where}",
        file=sys.stderr,
    )
    return 0


RUN = Command(
    name="run",
    summary="Build kernels, boot guests, measure calls, print the table.",
    examples="""\
examples:
  anonvma run
  anonvma run --vmas 1000,4000 --naming distinct:79,shared:79 --boots 2
  anonvma run --variant strdup,refcount --vmas 65536
  anonvma run --variant all --base all --vmas 65536
  anonvma run --plan plan.toml --name nightly
  anonvma run --target uml,qemu --arch aarch64,x86_64 --name everywhere
  anonvma run --kernel ~/linux/arch/arm64/boot/Image
  anonvma run --target host --naming none

A plan file sets the options under "plan" by their long names, in the plural if they
take a list: vmas = [1000, 65536], variants = ["switch"], bases = ["all"], boots = 4.
Options on the command line override the file.
""",
    add_options=_add_run,
    request=_run_request,
    run=run,
)


IMPORT = Command(
    name="import",
    summary="Add records from another machine to a campaign.",
    examples="""\
examples:
  anonvma import records.jsonl --name phones
On the other machine, make the file with: python3 anonvma.pyz run --out records.jsonl
""",
    add_options=_add_import,
    request=_import_request,
    run=import_records,
)


COMMANDS = (RUN, IMPORT)
