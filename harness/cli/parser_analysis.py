"""The options of the commands that make something of campaigns."""

import argparse

from harness.cli.options import CAMPAIGN, add_results
from harness.cli.requests import (
    CompareRequest,
    ExportRequest,
    ReportRequest,
    ShowRequest,
)
from harness.cli.words import path, percent, words
from harness.errors import UsageError
from harness.measure.records import Metric

METRICS = [metric.value for metric in Metric]


def add_show(sub: argparse.ArgumentParser) -> None:
    """Options of show."""
    sub.add_argument(
        "path", nargs="?", type=path,
        help=f"{CAMPAIGN} (default: the newest)",
    )  # fmt: skip
    sub.add_argument(
        "--metric", type=words, default=("fork",), metavar="NAME[,NAME]",
        help=f"which tables: {', '.join(METRICS)}, or all (default: fork)",
    )  # fmt: skip
    add_results(sub)


def add_report(sub: argparse.ArgumentParser) -> None:
    """Options of report."""
    sub.add_argument("campaign", type=path, metavar="CAMPAIGN", help=CAMPAIGN)
    sub.add_argument(
        "--out", type=path, metavar="FILE", help="the page (default: CAMPAIGN.html)"
    )
    sub.add_argument("--text", action="store_true", help="print a mail instead")
    add_results(sub)


def add_export(sub: argparse.ArgumentParser) -> None:
    """Options of export."""
    sub.add_argument(
        "campaign", type=path, metavar="CAMPAIGN",
        help="its name in --results, or its folder",
    )  # fmt: skip
    sub.add_argument("out", type=path, metavar="FILE", help="FILE.parquet")
    add_results(sub)


def add_compare(sub: argparse.ArgumentParser) -> None:
    """Options of compare."""
    sub.add_argument("first", type=path, metavar="A", help=CAMPAIGN)
    sub.add_argument(
        "second", type=path, nargs="?", metavar="B",
        help="compared with A; without it, A's named arms with its unnamed one",
    )  # fmt: skip
    sub.add_argument(
        "--margin", type=percent, metavar="PERCENT",
        help="what counts as no difference (default: the plan's, without one 2%%)",
    )  # fmt: skip
    sub.add_argument(
        "--metric", default="fork", choices=METRICS,
        help="what is compared (default: fork)",
    )  # fmt: skip
    sub.add_argument(
        "--variant", type=words, default=(), metavar="NAME[,NAME]",
        help="which kernel, where a campaign has several; two: the second against "
        "the first",
    )  # fmt: skip
    sub.add_argument(
        "--base", dest="bases", type=words, default=(), metavar="VERSION[,VERSION]",
        help="the same of the Linux that kernels were built from",
    )  # fmt: skip
    sub.add_argument(
        "--effects", action="store_true",
        help="compare what names add to a call (named - unnamed), not the calls: for "
        "two kernels, machines or versions whose unnamed calls may not be compared",
    )  # fmt: skip
    sub.add_argument(
        "--allow-missing", action="store_true",
        help="pass, though cells could not be compared; they are listed all the same",
    )  # fmt: skip
    sub.add_argument(
        "--format", default="text", choices=["text", "markdown", "mm", "json"],
        help="mm: as reports to linux-mm are read (default: text)",
    )  # fmt: skip
    add_results(sub)


def show_request(options: argparse.Namespace) -> ShowRequest:
    """What show was asked. UsageError for a metric that is none."""
    metrics = METRICS if options.metric == ("all",) else options.metric
    for metric in metrics:
        if metric not in METRICS:
            known = ", ".join(METRICS)
            raise UsageError(f"no metric is called {metric!r}; known: {known}, all")
    return ShowRequest(
        path=options.path, results=options.results,
        metrics=tuple(dict.fromkeys(metrics)),
    )  # fmt: skip


def report_request(options: argparse.Namespace) -> ReportRequest:
    """What report was asked. UsageError for a page and a mail at once."""
    if options.text and options.out:
        raise UsageError("--text goes to standard output; --out is of the page")
    return ReportRequest(
        campaign=options.campaign, out=options.out, text=options.text,
        results=options.results,
    )  # fmt: skip


def export_request(options: argparse.Namespace) -> ExportRequest:
    """What export was asked."""
    return ExportRequest(
        campaign=options.campaign, out=options.out, results=options.results
    )


def compare_request(options: argparse.Namespace) -> CompareRequest:
    """What compare was asked. UsageError for other than one or two kernels."""
    for option, chosen in (("--variant", options.variant), ("--base", options.bases)):
        if len(chosen) > 2:
            raise UsageError(f"{option} takes one kernel, or two to compare")
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
            "--effects compares two campaigns, or two kernels of one: give a second "
            "campaign, or two kernels with --variant or --base"
        )
    return request
