"""anonvma compare: what is compared, and the exit status that a gate goes by."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.compare_json import print_json
from harness.cli.compare_text import print_markdown, print_mm, print_text
from harness.cli.compare_words import Said
from harness.cli.requests import CompareRequest
from harness.errors import UsageError
from harness.finding import find_campaign
from harness.kbuild import variant_named, variant_names

if TYPE_CHECKING:
    from harness.analysis.comparison import Comparison
    from harness.analysis.identity import Identity
    from harness.analysis.promise import Promise


class Outcome(IntEnum):
    """The exit status of a comparison; the first of these that applies.

    None is a status of an error (``harness.errors``), except that 1 is the status
    of every check that failed.
    """

    REGRESSED = 1
    UNTRUSTED = 5
    MISSING = 6
    DONE = 0


def compare(request: CompareRequest) -> int:
    """Print the comparison; its status is an ``Outcome``."""
    given = (
        [request.first] if request.second is None else [request.first, request.second]
    )
    places = [find_campaign(path, request.results) for path in given]
    comparison, margin_from = _comparison(request, places)
    found = outcomes(comparison)
    status = status_of(comparison, allow_missing=request.allow_missing)
    said = Said(
        comparison=comparison, margin_from=margin_from, status=status,
        outcomes=tuple(outcome.name.lower() for outcome in found),
        missing_allowed=request.allow_missing,
    )  # fmt: skip
    try:
        _PRINT[request.format](said)
        sys.stdout.flush()
    except BrokenPipeError:
        # A reader that stops early (head) must not turn a failure into success.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def outcomes(comparison: Comparison) -> list[Outcome]:
    """Everything that keeps a comparison from passing, most important first."""
    applies = {
        Outcome.REGRESSED: comparison.regressed,
        Outcome.UNTRUSTED: bool(comparison.cells) and not comparison.trusted,
        Outcome.MISSING: not comparison.complete or not comparison.cells,
    }
    return [outcome for outcome, it_does in applies.items() if it_does]


def status_of(comparison: Comparison, *, allow_missing: bool) -> Outcome:
    """The exit status. Something may be missing, if allowed, but not everything."""
    found = outcomes(comparison)
    if allow_missing and comparison.cells and Outcome.MISSING in found:
        found.remove(Outcome.MISSING)
    return found[0] if found else Outcome.DONE


def _comparison(request: CompareRequest, places: list[Path]) -> tuple[Comparison, str]:
    # pandas and scipy take seconds to import: only what needs them waits.
    from harness.analysis.compare import (
        compare_arms,
        compare_campaigns,
        compare_effects,
        load_kernel,
    )
    from harness.analysis.identity import planned_identity

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
    """What the plan of a campaign promised of the kernels that are looked at."""
    from harness.analysis.promise import promise_of

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
    """The margin, and whose it is: given, of the plan, or the default."""
    from harness.analysis.identity import DEFAULT_MARGIN

    if request.margin is not None:
        return request.margin, "given"
    told = {identity.margin for identity in identities if identity is not None}
    if len(told) > 1:
        both = " and ".join(f"{margin:g} %" for margin in sorted(told))
        raise UsageError(
            f"the plans of the two have other margins, {both}: give --margin"
        )
    return (told.pop(), "plan") if told else (DEFAULT_MARGIN, "default")


_PRINT: dict[str, Callable[[Said], None]] = {
    "text": print_text, "markdown": print_markdown, "mm": print_mm,
    "json": print_json,
}  # fmt: skip
