"""The options of the commands that hold kernels against the model."""

import argparse
import os

from harness.campaign import TARGETS
from harness.cli.options import add_results, add_target
from harness.cli.words import count, count_from_0, path, seconds, words
from harness.kbuild import base_names, variant_names
from harness.target import Deadlines
from harness.workload.gen import Theme


def add_agree(sub: argparse.ArgumentParser) -> None:
    """Options of agree."""
    sub.add_argument(
        "--ops", type=count, metavar="N",
        help="operations to play (default: 20000)",
    )  # fmt: skip
    sub.add_argument(
        "--seconds", type=seconds, metavar="S",
        help="start no guest after that long (default: as long as --ops takes)",
    )  # fmt: skip
    sub.add_argument(
        "--seed", type=count_from_0, default=1, metavar="N",
        help="of the operations: the same seed plays the same (default: 1)",
    )  # fmt: skip
    sub.add_argument(
        "--theme", type=words, default=(), metavar="WORDS",
        help=f"of {', '.join(theme.value for theme in Theme)} (default: all in turn; "
        "on the host, those that touch nothing of others)",
    )  # fmt: skip
    sub.add_argument(
        "--length", type=count, default=400, metavar="N",
        help="operations of a trace (default: 400)",
    )  # fmt: skip
    sub.add_argument(
        "--pages", type=count, default=32, metavar="N",
        help="of a trace's arena (default: 32)",
    )  # fmt: skip
    _add_player(sub, "uml by default")
    sub.add_argument(
        "--jobs", type=count, default=len(os.sched_getaffinity(0)), metavar="N",
        help="guests at a time (default: one a processor)",
    )  # fmt: skip
    sub.add_argument(
        "--record", type=path, metavar="FILE",
        help="add every trace, with what was seen, to a file for replay",
    )  # fmt: skip
    sub.add_argument(
        "--no-shrink", dest="shrink", action="store_false",
        help="keep a trace that diverges as long as it is",
    )  # fmt: skip
    add_results(sub)


def add_replay(sub: argparse.ArgumentParser) -> None:
    """Options of replay."""
    sub.add_argument(
        "trace", type=path, metavar="TRACE", help="what agree recorded or kept"
    )
    _add_player(sub, "without, what was recorded is judged")


def add_mutants(sub: argparse.ArgumentParser) -> None:
    """Options of mutants."""
    sub.add_argument(
        "--name", type=words, default=(), metavar="NAMES",
        help="of kernels/mutants/ (default: all)",
    )  # fmt: skip
    sub.add_argument(
        "--of-the-day", type=count, metavar="N",
        help="only N of them, others each day",
    )  # fmt: skip
    sub.add_argument(
        "--ops", type=count, default=20_000, metavar="N",
        help="operations to play on each (default: 20000)",
    )  # fmt: skip
    sub.add_argument(
        "--seed", type=count_from_0, default=1, metavar="N",
        help="of the operations (default: 1)",
    )  # fmt: skip
    sub.add_argument(
        "--jobs", type=count, default=len(os.sched_getaffinity(0)), metavar="N",
        help="guests at a time (default: one a processor)",
    )  # fmt: skip


def _add_player(sub: argparse.ArgumentParser, default: str) -> None:
    add_target(sub, f"of kernel: {', '.join(TARGETS)} ({default})", single=True)
    sub.add_argument("--variant", default="refcount", choices=variant_names())
    sub.add_argument("--base", default="6.12", choices=base_names())
    sub.add_argument(
        "--deadline", type=seconds, default=Deadlines().total_s, metavar="S",
        help="for a guest (default: %(default)g)",
    )  # fmt: skip
