"""The options of the commands that make something of campaigns."""

import argparse

from harness.cli.options import add_results
from harness.cli.words import path, percent, words
from harness.measure.records import Metric


def add_report(sub: argparse.ArgumentParser) -> None:
    """Options of report."""
    sub.add_argument(
        "campaign", type=path, metavar="CAMPAIGN", help="folder, name or Parquet"
    )
    sub.add_argument(
        "--out", type=path, metavar="FILE", help="the page (default: CAMPAIGN.html)"
    )
    sub.add_argument("--text", action="store_true", help="print a mail instead")
    add_results(sub)


def add_export(sub: argparse.ArgumentParser) -> None:
    """Options of export."""
    sub.add_argument("campaign", type=path, metavar="CAMPAIGN", help="folder or name")
    sub.add_argument("out", type=path, metavar="FILE", help="FILE.parquet")
    add_results(sub)


def add_compare(sub: argparse.ArgumentParser) -> None:
    """Options of compare."""
    sub.add_argument("first", type=path, metavar="A", help="campaign or Parquet")
    sub.add_argument(
        "second", type=path, nargs="?", metavar="B",
        help="compared with A; without it, A's named arms with its unnamed one",
    )  # fmt: skip
    sub.add_argument(
        "--margin", type=percent, default=2.0, metavar="PERCENT",
        help="what counts as no difference (default: 2%%)",
    )  # fmt: skip
    sub.add_argument(
        "--metric", default="fork", choices=[metric.value for metric in Metric],
        help="what is compared (default: fork)",
    )  # fmt: skip
    sub.add_argument(
        "--variant", type=words, default=(), metavar="NAME[,NAME]",
        help="which kernel, where a campaign has several; two: one against the other",
    )  # fmt: skip
    sub.add_argument(
        "--format", default="text", choices=["text", "markdown", "mm", "json"],
        help="mm: as reports to linux-mm are read (default: text)",
    )  # fmt: skip
    add_results(sub)
