"""The command that reads a kernel's memory: audit."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from rich import box
from rich.table import Table

from harness.arch import Arch, arch_named
from harness.audit.audit import Audit, AuditPlan, audit_kernel, records_of
from harness.campaign import appended_records, campaign_folder, remove_empty_campaign
from harness.cli.arguments import (
    add_arch,
    add_kernels,
    add_results,
    count,
    count_from_0,
    words,
)
from harness.cli.choices import chosen_kernels
from harness.cli.command import Command
from harness.cli.output import stdout_console
from harness.cli.progress import Progress
from harness.errors import HarnessError, UsageError
from harness.host.programs import printable
from harness.kbuild import build_kernel, readable, variant_named, variant_names
from harness.kbuild.variant import patch_paths
from harness.targets import QemuTarget, guest_root
from harness.worker.measure import Record
from harness.workload import NamingKind, Store, check_schemes_differ
from harness.workload.naming import naming_from_label

AS_PREDICTED, DIVERGED = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """The arguments of ``anonvma audit``: one plan for each variant on each base."""

    plan: AuditPlan
    variants: tuple[str, ...]
    bases: tuple[str, ...]
    arch: Arch
    name: str | None
    results: Path


def _add_audit(sub: argparse.ArgumentParser) -> None:
    add_kernels(sub, variant="refcount", known=keeping_names())
    add_arch(sub, ("aarch64", "x86_64"))
    sub.add_argument(
        "--vmas", type=count, default=65_536, metavar="N",
        help="VMAs per process (default: 65536)",
    )  # fmt: skip
    sub.add_argument(
        "--children", type=count_from_0, default=3, metavar="K",
        help="children per process, all alive together (default: 3)",
    )  # fmt: skip
    sub.add_argument(
        "--naming", type=words, default=("distinct:79", "shared:79"),
        metavar="SCHEME:LENGTH,...",
        help="naming schemes (default: distinct:79,shared:79)",
    )  # fmt: skip
    sub.add_argument(
        "--seed", type=count_from_0, default=1, metavar="N",
        help="seed of the random traces (default: 1)",
    )  # fmt: skip
    sub.add_argument(
        "--name", help="campaign to add the records to (default: a new one)"
    )
    add_results(sub)


def keeping_names() -> list[str]:
    """The variants that keep names: what ``all`` means for this command."""
    return [n for n in variant_names() if Store.ABSENT not in variant_named(n).stores]


def _audit_request(options: argparse.Namespace, _: Sequence[str]) -> AuditRequest:
    """Raises UsageError for a scheme or a variant without names."""
    check_schemes_differ(options.naming)
    variants, bases = chosen_kernels(options.variants, options.bases, keeping_names())
    arch = arch_named(options.arch)
    namings = tuple(map(naming_from_label, options.naming))
    for naming in namings:
        if naming.kind is NamingKind.NONE:
            raise UsageError(
                "--naming none makes no names, so there is nothing to audit"
            )
        naming.name_of(options.vmas - 1)
    for variant in variants:
        if variant not in keeping_names():
            raise UsageError(
                f"variant {variant} keeps no names, so there is nothing to audit"
            )
        for base in bases:
            patch_paths(readable(variant_named(variant)), base, arch)
    return AuditRequest(
        plan=AuditPlan(
            vmas=options.vmas, children=options.children, namings=namings,
            seed=options.seed,
        ),
        variants=tuple(variants), bases=tuple(bases), arch=arch,
        name=options.name, results=options.results,
    )  # fmt: skip


def run_audit(request: AuditRequest) -> int:
    """Audit kernels one after the other. Returns 1 if one is not as predicted."""
    folder = campaign_folder(request.results, request.name)
    with appended_records(folder) as append:
        try:
            found = _look_into_all(request, folder.name, append)
        except (HarnessError, KeyboardInterrupt):
            # Under the lock: without it, the empty folder could be another command's.
            remove_empty_campaign(folder)
            raise
    for title, audit in found:
        _print(f"{title} {request.arch.name}", audit)
    print(f"records are in {printable(str(folder))}")
    return DIVERGED if any(each.divergences for _, each in found) else AS_PREDICTED


def _look_into_all(
    request: AuditRequest, campaign: str, append: Callable[[Record], None]
) -> list[tuple[str, Audit]]:
    found = []
    with Progress() as progress:
        progress.step("making the guest's root")
        guest_root(request.arch)
        for base, variant in product(request.bases, request.variants):
            kernel = build_kernel(
                readable(variant_named(variant)), base, request.arch,
                on_step=progress.step,
            )  # fmt: skip
            target = QemuTarget(arch=request.arch, kernel=kernel.image)
            audit = audit_kernel(
                request.plan, kernel, target, campaign=campaign,
                on_step=progress.step,
            )  # fmt: skip
            for record in records_of(audit):
                append(record)
            progress.line(f"{variant} {base}: {_outcome(audit)}")
            found.append((f"{variant} {base}", audit))
    return found


def _outcome(audit: Audit) -> str:
    if audit.divergences:
        return f"{len(audit.divergences)} numbers are not as predicted"
    return "as predicted"


def _print(title: str, audit: Audit) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title)
    for column in ("of", "step", "counted", "predicted", "kernel"):
        justify = "right" if column in ("predicted", "kernel") else "left"
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for counts in audit.counts:
        for entry in counts.entries:
            if entry.predicted or not entry.agrees or isinstance(entry.what, str):
                table.add_row(
                    counts.what, counts.step, entry.title, f"{entry.predicted:,}",
                    f"{entry.counted:,}", style="" if entry.agrees else "bold",
                )  # fmt: skip
    stdout_console().print(table)
    for words_ in audit.divergences:
        print(f"not as predicted: {printable(words_)}")
    if not audit.divergences:
        print(
            f"as predicted: {audit.vmas:,} named VMAs, their {audit.structs:,} name "
            "structs, which VMAs share them, and every reference count"
        )


AUDIT = Command(
    name="audit",
    old_name="truth",
    summary="Check the names in a kernel's memory against the model.",
    examples="""\
examples:
  anonvma audit
  anonvma audit --variant refcount,strdup --base all --name memory
  anonvma audit --vmas 4096 --naming distinct:8,distinct:63 --arch x86_64
exit status 1: a number in the kernel differs from the model's prediction
""",
    add_options=_add_audit,
    request=_audit_request,
    run=run_audit,
)


COMMANDS = (AUDIT,)
