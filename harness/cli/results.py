"""Commands that show a campaign's results: show, report, export."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cli.arguments import CAMPAIGN, METRICS, add_results, path, words
from harness.cli.command import Command
from harness.cli.output import print_metric, stdout_console
from harness.cli.paths import check_not_in_use, check_suffix
from harness.errors import UsageError
from harness.host.campaign_folders import find_campaign, newest_campaign
from harness.host.programs import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """The arguments of ``anonvma report``; ``text`` asks for a mail, not a page."""

    campaign: Path
    out: Path | None
    text: bool
    results: Path


def _add_report(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("campaign", type=path, metavar="CAMPAIGN", help=CAMPAIGN)
    sub.add_argument(
        "--out",
        type=path,
        metavar="FILE",
        help="file of the page (default: CAMPAIGN.html)",
    )
    sub.add_argument(
        "--text", action="store_true", help="print a mail instead of making a page"
    )
    add_results(sub)


def _report_request(options: argparse.Namespace, _: Sequence[str]) -> ReportRequest:
    """Raises UsageError if both a page and a mail are asked for."""
    if options.text and options.out:
        raise UsageError("--text prints to standard output: leave out --out")
    return ReportRequest(
        campaign=options.campaign, out=options.out, text=options.text,
        results=options.results,
    )  # fmt: skip


def report(request: ReportRequest) -> int:
    """Write a campaign's page, or print it as a mail."""
    from harness.analysis.report.contents import report_of
    from harness.analysis.report.mail import render_mail
    from harness.analysis.report.page import render_page

    path = find_campaign(request.campaign, request.results)
    if request.out is not None:
        check_suffix(request.out, ".html")
    made = report_of(path)
    if request.text:
        print(render_mail(made), end="")
        return 0
    out = request.out or page_of(path)
    try:
        out.write_text(render_page(made))
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error}") from None
    print(f"made {printable(str(out))}")
    return 0


def page_of(campaign: Path) -> Path:
    """The default path of a campaign's page; dots in the campaign's name stay."""
    name = campaign.absolute().name
    return Path(f"{name.removesuffix('.parquet')}.html")


REPORT = Command(
    name="report",
    summary="Write a campaign as an HTML page, or as a mail for linux-mm.",
    examples="""\
examples:
  anonvma report results/nightly          writes nightly.html, which opens offline
  anonvma report nightly --text           a mail of 72 columns
""",
    add_options=_add_report,
    request=_report_request,
    run=report,
)


@dataclass(frozen=True, slots=True)
class ShowRequest:
    """The arguments of ``anonvma show``; without a path, the newest campaign.

    ``metrics`` names the tables to print.
    """

    path: Path | None
    results: Path
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """The arguments of ``anonvma export``."""

    campaign: Path
    out: Path
    results: Path


def _add_show(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "path", nargs="?", type=path,
        help=f"{CAMPAIGN} (default: the newest)",
    )  # fmt: skip
    sub.add_argument(
        "--metric", type=words, default=("fork",), metavar="NAME[,NAME]",
        help=f"metrics to show: {', '.join(METRICS)}, or all (default: fork)",
    )  # fmt: skip
    add_results(sub)


def _show_request(options: argparse.Namespace, _: Sequence[str]) -> ShowRequest:
    """Raises UsageError for an unknown metric."""
    metrics = METRICS if options.metric == ("all",) else options.metric
    for metric in metrics:
        if metric not in METRICS:
            known = ", ".join(METRICS)
            raise UsageError(f"no metric is called {metric!r}; known: {known}, all")
    return ShowRequest(
        path=options.path, results=options.results,
        metrics=tuple(dict.fromkeys(metrics)),
    )  # fmt: skip


def show(request: ShowRequest) -> int:
    """Print the tables of a campaign."""
    if request.path is None:
        return show_campaign(newest_campaign(request.results), request.metrics)
    return show_campaign(find_campaign(request.path, request.results), request.metrics)


def show_campaign(path: Path, metrics: Sequence[str]) -> int:
    """Print a campaign's tables of the named ``metrics``. Returns 0."""
    # pandas takes a second to import, so only this command imports it.
    from harness.analysis import (
        TABLE_COLUMNS,
        distrust,
        load,
        metric_tables,
        stream_parquet,
    )
    from harness.analysis.records.provenance import DEFAULT_MARGIN, margin_of

    kept = path / "records.parquet"
    write_error: OSError | None = None
    if path.is_dir():
        try:
            stream_parquet(path, kept)
        except OSError as error:
            # The tables can be printed without the file; the error is raised after.
            write_error = error
    readable = kept if path.is_dir() and write_error is None else path
    frame = load(readable, TABLE_COLUMNS)
    planned = margin_of(path)
    margin = DEFAULT_MARGIN if planned is None else planned
    console = stdout_console()
    recorded = list(frame["metric"].unique())
    for metric in metrics:
        print_metric(metric_tables(frame, metric, margin=margin), console)
    for warning in distrust(frame, metrics[0], margin=margin):
        console.print(f"distrust: {printable(warning)}", soft_wrap=True)
    if others := [each for each in recorded if each not in metrics]:
        console.print(f"also recorded: {', '.join(others)} (--metric NAME, or all)")
    if write_error is not None:
        raise write_error
    if path.is_dir():
        console.print(f"{len(frame)} samples: {kept}", soft_wrap=True)
    return 0


def _add_export(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "campaign", type=path, metavar="CAMPAIGN",
        help="a campaign: its name in --results, or its folder",
    )  # fmt: skip
    sub.add_argument("out", type=path, metavar="FILE", help="the Parquet file to write")
    add_results(sub)


def _export_request(options: argparse.Namespace, _: Sequence[str]) -> ExportRequest:
    return ExportRequest(
        campaign=options.campaign, out=options.out, results=options.results
    )


def export(request: ExportRequest) -> int:
    """Write a campaign as one Parquet file that also holds its plan."""
    from harness.analysis.records.provenance import export_campaign

    path = find_campaign(request.campaign, request.results)
    check_suffix(request.out, ".parquet")
    check_not_in_use(request.out, path)
    try:
        export_campaign(path, request.out)
    except OSError as error:
        raise UsageError(f"cannot write {request.out}: {error}") from None
    print(f"made {printable(str(request.out))}")
    return 0


SHOW = Command(
    name="show",
    summary="Print the tables of a campaign.",
    examples="""\
examples:
  anonvma show
  anonvma show nightly                    results/nightly
  anonvma show nightly --metric name,exit_reap
  anonvma show ~/elsewhere/nightly
A name is looked up in --results. If a campaign in the current folder has the same
name, give the full path of the one you mean.
""",
    add_options=_add_show,
    request=_show_request,
    run=show,
)


EXPORT = Command(
    name="export",
    summary="Write a campaign and its plan as one Parquet file.",
    examples="""\
examples:
  anonvma export results/nightly nightly.parquet
Notebooks, show and compare can read this file.
""",
    add_options=_add_export,
    request=_export_request,
    run=export,
)


COMMANDS = (SHOW, REPORT, EXPORT)
