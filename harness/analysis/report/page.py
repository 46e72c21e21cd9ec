"""A campaign as one HTML page that opens offline: no scripts, no external files.

Text from records is escaped by the templates. Control characters are shown as escapes,
for readers of the page's source in a terminal.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.analysis.display.formats import bounds
from harness.analysis.report.by_metric import ByMetric
from harness.analysis.report.contents import Report, commands_of, facts_of
from harness.analysis.report.listing import (
    Listing,
    checks_listings,
    claims_listings,
    costs_listings,
    effects_listings,
    noise_listings,
    published_listings,
    slopes_listings,
)
from harness.analysis.report.pictures import (
    Picture,
    aa_picture,
    costs_picture,
    effects_picture,
    first_pictures,
    lengths_picture,
    order_picture,
    slopes_picture,
)
from harness.analysis.report.topic import Topic
from harness.host.programs import printable_lines

_TEMPLATES = Path(__file__).parent / "templates"
# A line over lengths needs more lengths than this.
_LENGTHS = 3
_GLUE = "\N{NO-BREAK SPACE}"
# The gaps between a number and its unit, and within brackets.
_GAP = re.compile(
    r"(?<=\d) (?=%|\[|insns|ns\b|times)|(?<=[%s]) (?=\[)|(?<=\d,) (?=-?\d)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page below its first screen; empty parts are left out."""

    anchor: str
    title: str
    words: tuple[str, ...] = ()
    check: str = ""
    holds: bool = True
    items: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    listings: tuple[Listing, ...] = ()
    behind_title: str = ""
    behind: tuple[Listing, ...] = ()
    facts: tuple[Mapping[str, str], ...] = ()
    commands: str = ""


def render_page(report: Report) -> str:
    """The page of a report."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        finalize=_printable, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["glued"] = _glued
    return environment.get_template("page.html").render(
        title=f"What a named VMA costs: {report.identity.name}",
        report=report, first=first_pictures(report.evidence),
        sections=_sections(report),
    )  # fmt: skip


def _printable(value: object) -> object:
    if type(value) is not str:
        return value
    # The no-break space is wanted, so it is not shown as an escape.
    return _GLUE.join(map(printable_lines, value.split(_GLUE)))


def _glued(text: str) -> str:
    """The sentence, with each number on the same line as its unit and interval."""
    return _GAP.sub(_GLUE, text)


def _sections(report: Report) -> list[Section]:
    evidence = report.evidence
    return [
        *_claims(report),
        *(_metric(metric, report) for metric in evidence.metrics),
        *_slopes(report),
        _noise(report),
        _distrust(report),
        _machine(report),
    ]


def _claims(report: Report) -> list[Section]:
    evidence = report.evidence
    if not evidence.claims:
        return []
    return [
        Section(
            anchor="claims", title="The claims of 2021",
            words=(
                "Reproduced, smaller or larger: the published figure lies in the "
                "measured interval, above it or below it.",
                "Only a clock of time can decide.",
            ),
            listings=(
                *claims_listings(evidence.claims),
                *published_listings(evidence.effects("fork")),
            ),
        )
    ]  # fmt: skip


def _metric(metric: ByMetric, report: Report) -> Section:
    evidence = report.evidence
    words = [metric.meaning]
    if metric.effects:
        held = bounds([effect.percent for effect in metric.effects])
        words.append(
            f"Named minus unnamed within one kernel, boot and block; in brackets the "
            f"{held}. Equivalent means within {evidence.margin:g} %, a margin that was "
            "chosen beforehand."
        )
    elif metric.costs:
        held = bounds([cost.total for cost in metric.costs])
        words.append(
            "There is no unnamed arm to subtract, so this is the whole cost; in "
            f"brackets the {held}."
        )
    return Section(
        anchor=metric.metric, title=metric.title, words=tuple(words),
        check=metric.aa_words, holds=metric.holds,
        pictures=tuple(_metric_pictures(metric, evidence.topic)),
        listings=(*effects_listings(metric), *costs_listings(metric)),
        behind_title="Differences of identical arms",
        behind=tuple(checks_listings(metric.checks)),
    )  # fmt: skip


def _metric_pictures(metric: ByMetric, topic: Topic) -> list[Picture]:
    """The figures of a metric, except those on the first screen."""
    pictures = []
    first = topic in (Topic.SHARING, Topic.GENERAL) and metric.metric == "fork"
    if metric.effects and not first and topic is not Topic.LIFECYCLE:
        pictures.append(effects_picture(metric.effects))
    lengths = {effect.arm.name_length for effect in metric.effects}
    if (
        metric.metric == "fork"
        and len(lengths) > _LENGTHS
        and topic is not Topic.LENGTH
    ):
        pictures.append(lengths_picture(metric.effects))
    if metric.costs:
        # The first screen has the figure of the largest layout.
        every = topic is Topic.UNNAMED and metric.metric == "fork"
        pictures.append(costs_picture(metric.costs, largest=not every))
    return pictures


def _slopes(report: Report) -> list[Section]:
    found = report.evidence.slopes
    if not found:
        return []
    return [
        Section(
            anchor="slopes", title="Cost of each additional VMA",
            words=("A straight line through the layouts without written pages.",),
            pictures=(slopes_picture(found),), listings=tuple(slopes_listings(found)),
        )
    ]  # fmt: skip


def _noise(report: Report) -> Section:
    fork = report.fork
    pictures = [aa_picture(fork.checks)] if fork and fork.checks else []
    if fork:
        pictures.append(order_picture(report.evidence.frame))
    return Section(
        anchor="noise", title="Noise, drift, and the samples in order",
        pictures=tuple(pictures),
        behind_title="Samples of each cell: spread, outliers, drift",
        behind=tuple(noise_listings(report.evidence.frame)),
    )  # fmt: skip


def _distrust(report: Report) -> Section:
    return Section(
        anchor="distrust", title="What to distrust", items=report.warnings,
        words=() if report.warnings else ("The records give no reason.",),
    )  # fmt: skip


def _machine(report: Report) -> Section:
    shared, own = facts_of(report.evidence.frame)
    digest = {"records.jsonl, SHA-256": report.identity.records_sha256}
    return Section(
        anchor="machine", title="Machine, kernels, commands",
        facts=(shared, *own, digest), commands="\n".join(commands_of(report.identity)),
    )  # fmt: skip
