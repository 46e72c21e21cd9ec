"""A campaign as a mail for linux-mm: plain ASCII in 72 columns."""

import textwrap
from collections.abc import Iterable, Sequence

from harness.analysis.display.formats import bounds
from harness.analysis.report.by_metric import ByMetric
from harness.analysis.report.contents import COLUMNS, Report, commands_of
from harness.analysis.report.listing import (
    Listing,
    checks_listings,
    costs_listings,
    effects_listings,
    slopes_listings,
)


def render_mail(report: Report) -> str:
    """The mail of a report, including its subject."""
    evidence = report.evidence
    lines = [f"Subject: anon VMA names: {report.identity.name}", ""]
    lines += [*_wrapped(report.answer.question), ""]
    for sentence in report.answer.sentences:
        lines += _wrapped(f"* {sentence}", indent="  ")
    lines += ["", *_wrapped(f"A/A: {report.aa_words}")]
    lines += [*_wrapped(report.reading_words), "", *_wrapped(report.measured_words)]
    lines += _claims(report)
    for metric in evidence.metrics:
        lines += _metric(metric)
    if evidence.slopes:
        lines += _headed(
            "Cost of each additional VMA at fork", slopes_listings(evidence.slopes)
        )
    if report.warnings:
        lines += ["", "What to distrust:"]
        for warning in report.warnings:
            lines += _wrapped(f"* {warning}", indent="  ")
    lines += ["", *_machines(report), "", *commands_of(report.identity)]
    return "\n".join(_ascii(line) for line in lines) + "\n"


def _claims(report: Report) -> list[str]:
    lines = ["", "The claims of 2021:", ""] if report.evidence.claims else []
    for c in report.evidence.claims:
        trust = "" if c.trusted else " (DO NOT TRUST)"
        lines += _wrapped(f"* {c.finding.value}: {c.claim}{trust}", indent="  ")
        lines += _wrapped(f"  {c.place.words}: {c.words}", indent="  ")
    return lines


def _metric(metric: ByMetric) -> list[str]:
    lines = ["", metric.title, "-" * len(metric.title)]
    lines += [*_wrapped(metric.meaning), "", *_wrapped(f"A/A: {metric.aa_words}")]
    if metric.effects:
        held = bounds([effect.percent for effect in metric.effects])
        title = f"Named over unnamed, percent [{held}]"
        lines += _headed(title, effects_listings(metric, short=True))
    if metric.costs:
        held = bounds([cost.per_vma for cost in metric.costs])
        title = f"Whole cost, per VMA [{held}]"
        lines += _headed(title, costs_listings(metric, short=True))
    # All checks of fork, the subject of the mail; of other metrics, only failed ones.
    whole = metric.metric == "fork"
    if checks := [check for check in metric.checks if whole or not check.holds]:
        held = bounds([check.percent for check in checks])
        title = f"Difference of two identical arms, percent [{held}]"
        lines += _headed(title, checks_listings(checks))
    return lines


def _headed(title: str, listings: Sequence[Listing]) -> list[str]:
    lines: list[str] = []
    for listing in listings:
        lines += ["", *_wrapped(f"{title}; {listing.above}:"), ""]
        lines += _table(listing)
    return lines


def _table(listing: Listing) -> list[str]:
    """Columns as wide as needed; a cell that does not fit goes on the next line."""
    table = [listing.columns, *listing.rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines: list[str] = []
    for row in table:
        line = ""
        for name, cell, width in zip(listing.columns, row, widths, strict=True):
            aligned = cell.ljust(width) if listing.is_words(name) else cell.rjust(width)
            longer = f"{line}  {aligned}" if line else aligned
            if line and len(longer.rstrip()) > COLUMNS:
                lines.append(line)
                longer = f"    {cell}"
            line = longer
        lines.append(line)
    return [short for line in lines for short in _cut(line.rstrip())]


def _cut(line: str) -> Iterable[str]:
    return [line] if len(line) <= COLUMNS else _wrapped(line)


def _machines(report: Report) -> list[str]:
    facts = report.evidence.frame[["kernel_release", "target", "machine", "cpu"]]
    lines: list[str] = []
    for row in facts.drop_duplicates().itertuples(index=False):
        lines += _wrapped(" ".join(map(str, row)))
    return lines


def _wrapped(text: str, *, indent: str = "") -> Iterable[str]:
    return textwrap.wrap(text, COLUMNS, subsequent_indent=indent)


def _ascii(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)
