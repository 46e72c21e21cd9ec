"""The command that CI uses as a gate: compare, and its exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.arguments import CAMPAIGN, METRICS, add_results, path, percent, words
from harness.cli.command import Command
from harness.cli.compare_json import print_json
from harness.cli.compare_text import print_markdown, print_mm, print_text
from harness.cli.compare_words import PrintedComparison
from harness.errors import UsageError
from harness.host.campaign_folders import find_campaign
from harness.kbuild import variant_named, variant_names

if TYPE_CHECKING:
    from harness.analysis.comparison.promise import Promise
    from harness.analysis.comparison.result import Comparison
    from harness.analysis.records.provenance import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """The arguments of ``anonvma compare``; without ``second``, the arms of ``first``.

    ``margin`` is in percent; None means the plan's. ``variants`` and ``bases`` choose
    the kernels: empty if a campaign has one kernel, else one for both sides or one per
    side. ``effects`` compares what names add to a call instead of the calls.
    ``allow_missing`` lets a comparison pass although some cells could not be compared.
    """

    first: Path
    second: Path | None
    margin: float | None
    metric: str
    variants: tuple[str, ...]
    bases: tuple[str, ...]
    effects: bool
    allow_missing: bool
    format: str
    results: Path

    @property
    def two(self) -> bool:
        """Whether there are two sides: two campaigns, or two kernels of one."""
        return self.second is not None or 2 in (len(self.variants), len(self.bases))


class Outcome(IntEnum):
    """The exit status of a comparison: the first of these that applies.

    They differ from the statuses of errors (``harness.errors``), except that 1 is also
    the status of every failed check.
    """

    REGRESSED = 1
    UNTRUSTED = 5
    MISSING = 6
    DONE = 0


def _add_compare(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("first", type=path, metavar="A", help=CAMPAIGN)
    sub.add_argument(
        "second", type=path, nargs="?", metavar="B",
        help="campaign to compare with A; without it, A's named arms are compared with "
        "its unnamed one",
    )  # fmt: skip
    sub.add_argument(
        "--margin", type=percent, metavar="PERCENT",
        help="differences up to this count as none (default: the plan's, else 2%%)",
    )  # fmt: skip
    sub.add_argument(
        "--metric", default="fork", choices=METRICS,
        help="metric to compare (default: fork)",
    )  # fmt: skip
    sub.add_argument(
        "--variant", type=words, default=(), metavar="NAME[,NAME]",
        help="kernel to compare, if a campaign has several; with two, the second is "
        "compared with the first",
    )  # fmt: skip
    sub.add_argument(
        "--base", dest="bases", type=words, default=(), metavar="VERSION[,VERSION]",
        help="the same, by the Linux version that kernels were built from",
    )  # fmt: skip
    sub.add_argument(
        "--effects", action="store_true",
        help="compare what names add to a call (named - unnamed) instead of the calls; "
        "for two sides whose unnamed calls cannot be compared, such as two machines",
    )  # fmt: skip
    sub.add_argument(
        "--allow-missing", action="store_true",
        help="pass even if cells could not be compared; they are still listed",
    )  # fmt: skip
    sub.add_argument(
        "--format", default="text", choices=["text", "markdown", "mm", "json"],
        help="output format; mm is the layout of reports to linux-mm (default: text)",
    )  # fmt: skip
    add_results(sub)


def _compare_request(options: argparse.Namespace, _: Sequence[str]) -> CompareRequest:
    """Raises UsageError for more than two kernels, or --effects with one side."""
    for option, chosen in (("--variant", options.variant), ("--base", options.bases)):
        if len(chosen) > 2:
            raise UsageError(f"{option} takes one value, or two to compare")
    request = CompareRequest(
        first=options.first,
        second=options.second,
        margin=options.margin,
        metric=options.metric,
        variants=options.variant,
        bases=options.bases,
        effects=options.effects,
        allow_missing=options.allow_missing,
        format=options.format,
        results=options.results,
    )
    if request.effects and not request.two:
        raise UsageError(
            "--effects needs two sides: give a second campaign, or two values of "
            "--variant or --base"
        )
    return request


def compare(request: CompareRequest) -> int:
    """Print the comparison. Returns its ``Outcome``."""
    given = (
        [request.first] if request.second is None else [request.first, request.second]
    )
    places = [find_campaign(path, request.results) for path in given]
    comparison, margin_from = _comparison(request, places)
    found = outcomes(comparison)
    status = status_of(comparison, allow_missing=request.allow_missing)
    printed = PrintedComparison(
        comparison=comparison, margin_from=margin_from, status=status,
        outcomes=tuple(outcome.name.lower() for outcome in found),
        missing_allowed=request.allow_missing,
    )  # fmt: skip
    try:
        _PRINT[request.format](printed)
        sys.stdout.flush()
    except BrokenPipeError:
        # A reader that stops early (head) must not turn a failure into success.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def outcomes(comparison: Comparison) -> list[Outcome]:
    """Every outcome that keeps a comparison from passing, most important first."""
    applies = {
        Outcome.REGRESSED: comparison.regressed,
        Outcome.UNTRUSTED: bool(comparison.cells) and not comparison.trusted,
        Outcome.MISSING: not comparison.complete or not comparison.cells,
    }
    return [outcome for outcome, applied in applies.items() if applied]


def status_of(comparison: Comparison, *, allow_missing: bool) -> Outcome:
    """The exit status. ``allow_missing`` does not help if every cell is missing."""
    found = outcomes(comparison)
    if allow_missing and comparison.cells and Outcome.MISSING in found:
        found.remove(Outcome.MISSING)
    return found[0] if found else Outcome.DONE


def _comparison(request: CompareRequest, places: list[Path]) -> tuple[Comparison, str]:
    # pandas and scipy take seconds to import, so only this command imports them.
    from harness.analysis.comparison.compare import (
        compare_arms,
        compare_campaigns,
        compare_effects,
        load_kernel,
    )
    from harness.analysis.records.provenance import planned_identity

    variants, bases = request.variants or (None,), request.bases or (None,)
    first = load_kernel(places[0], variants[0], bases[0])
    second = load_kernel(places[-1], variants[-1], bases[-1]) if request.two else None
    identities = [planned_identity(place) for place in places]
    margin, margin_from = _margin(request, identities)
    promise = _promise(places[0], identities[0], variants[0], bases[0])
    if second is None:
        compared = compare_arms(
            first, margin=margin, metric=request.metric, promise=promise
        )
        return compared, margin_from
    other = _promise(places[-1], identities[-1], variants[-1], bases[-1])
    compare_two = compare_effects if request.effects else compare_campaigns
    compared = compare_two(
        first, second, margin=margin, metric=request.metric, promises=(promise, other)
    )
    return compared, margin_from


def _promise(
    path: Path, identity: Identity | None, variant: str | None, base: str | None
) -> Promise | None:
    """The cells that a campaign's plan has for the chosen kernel."""
    from harness.analysis.comparison.promise import promise_of

    if identity is None:
        return None
    try:
        promise = promise_of(identity.plan, _stores_of)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return promise and promise.of(variant, base)


def _stores_of(variant: str) -> tuple[str, ...] | None:
    if variant not in variant_names():
        return None
    return tuple(store.value for store in variant_named(variant).stores)


def _margin(
    request: CompareRequest, identities: list[Identity | None]
) -> tuple[float, str]:
    """The margin, and its origin: given, plan or default."""
    from harness.analysis.records.provenance import DEFAULT_MARGIN

    if request.margin is not None:
        return request.margin, "given"
    planned = {identity.margin for identity in identities if identity is not None}
    if len(planned) > 1:
        both = " and ".join(f"{margin:g} %" for margin in sorted(planned))
        raise UsageError(f"the two plans have different margins, {both}: give --margin")
    return (planned.pop(), "plan") if planned else (DEFAULT_MARGIN, "default")


_PRINT: dict[str, Callable[[PrintedComparison], None]] = {
    "text": print_text, "markdown": print_markdown, "mm": print_mm,
    "json": print_json,
}  # fmt: skip


COMPARE = Command(
    name="compare",
    summary="Compare two campaigns or kernels, or the arms of one.",
    examples="""\
examples:
  anonvma compare before after --margin 2%
  anonvma compare nightly                 named with unnamed, cell by cell
  anonvma compare bystanders --variant none,refcount
  anonvma compare phone board --effects   what names add, on two machines
  anonvma compare before after --format mm

what is compared:
  A B             every call of B with the same call of A, named or unnamed
  A               named with unnamed; for name and rename, copied with shared
  A B --effects   named - unnamed of B with that of A. The change is shown per VMA and
                  in percent of A's unnamed call; the margin applies to the percentage

exit status of compare, the first that applies:
  1  regressed    a trusted cell got worse by more than the margin
  5  untrusted    the A/A check of a compared cell failed, or there is none
  6  missing      some cells or boots of one side, or of its plan, could not be
                  compared; with --allow-missing, only if nothing was compared
  0  none of these; inconclusive cells are counted, but do not fail
""",
    add_options=_add_compare,
    request=_compare_request,
    run=compare,
)


COMMANDS = (COMPARE,)
