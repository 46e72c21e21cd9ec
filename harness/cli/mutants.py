"""The command that tests agree and audit themselves: mutants."""

import argparse
import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.table import Table

from harness.arch import UM, arch_named
from harness.cli.arguments import count, count_from_0, words
from harness.cli.choices import chosen
from harness.cli.command import Command
from harness.cli.output import stdout_console
from harness.cli.progress import Progress
from harness.conformance.agree import AgreePlan
from harness.conformance.mutants import (
    MutantResult,
    audit_mutant,
    of_the_day,
    try_kernel,
)
from harness.errors import GuestError
from harness.host.programs import printable
from harness.kbuild import build_kernel, readable, variant_named
from harness.kbuild.mutant import (
    AUDIT,
    BASE,
    Mutant,
    mutant_named,
    mutant_names,
    mutant_variant,
)
from harness.model import OF_BASES
from harness.targets import QemuTarget, UmlTarget, guest_root

ALL_KILLED, SURVIVED = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantsRequest:
    """The arguments of ``anonvma mutants``; ``of_the_day`` limits their number."""

    names: tuple[str, ...]
    of_the_day: int | None
    plan: AgreePlan


def _add_mutants(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--name", type=words, default=("all",), metavar="NAMES",
        help="mutants of kernels/mutants/, or all (default: all)",
    )  # fmt: skip
    sub.add_argument(
        "--of-the-day", type=count, metavar="N",
        help="try only N of them, different ones each day",
    )  # fmt: skip
    sub.add_argument(
        "--ops", type=count, default=20_000, metavar="N",
        help="operations to run on each (default: 20000)",
    )  # fmt: skip
    sub.add_argument(
        "--seed", type=count_from_0, default=1, metavar="N",
        help="seed of the operations (default: 1)",
    )  # fmt: skip
    sub.add_argument(
        "--jobs", type=count, default=len(os.sched_getaffinity(0)), metavar="N",
        help="guests in parallel (default: one per CPU)",
    )  # fmt: skip


def _mutants_request(options: argparse.Namespace, _: Sequence[str]) -> MutantsRequest:
    """Raises UsageError for an unknown mutant."""
    names = chosen(options.name, mutant_names())
    for name in names:
        mutant_named(name)
    return MutantsRequest(
        names=names,
        of_the_day=options.of_the_day,
        plan=AgreePlan(
            operations=options.ops,
            seed=options.seed,
            guests=options.jobs,
            expected=OF_BASES[BASE],
        ),
    )


def mutants(request: MutantsRequest) -> int:
    """Try the stock kernel and the mutants with one budget, and print each outcome.

    Returns 1 if the stock kernel diverges, if a mutant survives, or if a mutant
    diverges at an operation that its bug does not affect.
    """
    names = list(request.names)
    if request.of_the_day is not None:
        today = datetime.date.today().toordinal()
        names = of_the_day(names, request.of_the_day, today)
    results = []
    with Progress() as progress:
        for mutant in (None, *map(mutant_named, names)):
            result = _try_twice(mutant, request, progress)
            progress.line(_told(result))
            results.append(result)
    _print(results)
    return ALL_KILLED if all(result.as_expected for result in results) else SURVIVED


def _try_twice(
    mutant: Mutant | None, request: MutantsRequest, progress: Progress
) -> MutantResult:
    # A guest that is lost early shows nothing about its kernel. One retry keeps it
    # from discarding the outcomes of the other mutants.
    try:
        return _try(mutant, request, progress)
    except GuestError as error:
        progress.line(f"retrying: {printable(error.what)}")
        return _try(mutant, request, progress)


def _try(
    mutant: Mutant | None, request: MutantsRequest, progress: Progress
) -> MutantResult:
    if mutant is not None and AUDIT in mutant.seen_at:
        arch = arch_named("aarch64")
        guest_root(arch)
        readable_kernel = build_kernel(
            readable(mutant_variant(mutant)), BASE, arch, on_step=progress.step
        )
        return audit_mutant(
            mutant, readable_kernel,
            QemuTarget(arch=arch, kernel=readable_kernel.image), on_step=progress.step,
        )  # fmt: skip
    variant = variant_named("refcount") if mutant is None else mutant_variant(mutant)
    kernel = build_kernel(variant, BASE, UM, on_step=progress.step)
    target = UmlTarget(kernel=kernel.image)
    return try_kernel(
        mutant, request.plan, lambda stop: replace(target, stop=stop),
        on_step=progress.step,
    )  # fmt: skip


def _told(result: MutantResult) -> str:
    name = result.mutant.name if result.mutant else "stock"
    return f"{name}: {_outcome(result)} after {result.operations} operations"


def _outcome(result: MutantResult) -> str:
    if result.mutant is None:
        return "agreed" if result.found is None else "DIVERGED"
    if not result.detected:
        return "SURVIVED"
    return "killed" if result.as_expected else "killed ELSEWHERE"


def _first_seen(result: MutantResult) -> str:
    if result.found is None:
        return result.wrong_count
    return result.found.divergence.headline.partition(", ")[2]


def _print(results: list[MutantResult]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("mutant", "outcome", "operations", "first seen"):
        table.add_column(column, justify="right" if column == "operations" else "left")
    for result in results:
        table.add_row(
            result.mutant.name if result.mutant else "(stock)",
            _outcome(result),
            f"{result.operations:,}",
            printable(_first_seen(result)),
        )
    stdout_console().print(table)
    tried = [result for result in results if result.mutant]
    killed = [result for result in tried if result.as_expected]
    print(f"{len(killed)} of {len(tried)} mutants killed at the place of their bug")


MUTANTS = Command(
    name="mutants",
    summary="Test the checks: kernels with a planted bug must diverge.",
    examples="""\
examples:
  anonvma mutants                         all of them, in some minutes with their builds
  anonvma mutants --of-the-day 3
  anonvma mutants --name fork-forgets-names --seed 7
""",
    add_options=_add_mutants,
    request=_mutants_request,
    run=mutants,
)


COMMANDS = (MUTANTS,)
