"""The parts of ``make test`` and ``make test-rest``: run one by one, and summed up.

    python -m tests.parts test
    python -m tests.parts rest [--first DAY] [--until MINUTES]

Each part is a target of the Makefile. A part that fails does not stop the others. At
the end a table says of each part what it does, how it ended and how long it took, and
what was not run. ``--first`` begins the rest with another part each day, and
``--until`` begins no part after so many minutes: such a part is "not run", which is
not a pass.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

_ROOT = Path(__file__).parents[1]
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Part:
    """A target of the Makefile, and what it does, in a few words."""

    target: str
    does: str


TEST = (
    Part("check", "format, lint, layers, types, and all tests that need no kernel"),
    Part("test-kernel", "tests on kernels with names, in User-Mode Linux, both bases"),
    Part("test-first-guests", "one ARM64 guest of each kind, in QEMU"),
    Part("test-conformance", "30 seconds of random calls on each base"),
    Part("test-notebooks", "every notebook, executed"),
)
REST = (
    Part("test-long", "long tests without kernels: whole campaigns, many repetitions"),
    Part("test-pages", "reports in Chromium, wide and narrow, light and dark"),
    Part("test-guests-uml", "guests of User-Mode Linux: faults, ends, other users"),
    Part("test-guests-arm64", "ARM64 guests: all kernels, measured and stopped"),
    Part("test-guests-x86", "x86-64 guests, and the kernel's own test everywhere"),
    Part("test-guests-memory", "what kernels hold, and other readers of their memory"),
    Part("test-elsewhere", "the one file, the guest image and the wheel"),
    Part("test-model", "three minutes of random calls, and three mutants"),
    Part("test-torture", "five minutes of kills, faults and hostile input"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a part ended: its exit status, None where it was not run; its seconds."""

    part: Part
    status: int | None
    seconds: float


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts; 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.parts")
    parser.add_argument("level", choices=["test", "rest"])
    parser.add_argument("--first", type=int, default=0, metavar="DAY")
    parser.add_argument("--until", type=float, metavar="MINUTES")
    options = parser.parse_args(words)
    parts = TEST if options.level == "test" else begun_with(REST, options.first)
    outcomes: list[Outcome] = []
    try:
        for part in parts:
            outcomes.append(_run(part, options.until))
    except KeyboardInterrupt:
        outcomes += [Outcome(part, None, 0) for part in parts[len(outcomes) :]]
        print_table(outcomes)
        return _INTERRUPTED
    print_table(outcomes)
    if options.level == "test":
        print("not run: " + ", ".join(part.target for part in REST))
        print("make test-rest runs them")
    return 1 if any(outcome.status for outcome in outcomes) else 0


def begun_with(parts: Sequence[Part], day: int) -> tuple[Part, ...]:
    """The parts in their order, begun with another one each day."""
    at = day % len(parts)
    return (*parts[at:], *parts[:at])


_STARTED = time.monotonic()


def _run(part: Part, until: float | None) -> Outcome:
    began = time.monotonic()
    if until is not None and began - _STARTED > until * 60:
        return Outcome(part, None, 0)
    print(f"make {part.target}: {part.does}", flush=True)
    # ARGS are those of this program, and make would hand them on to its parts.
    argv = ["make", part.target, "ARGS="]
    status = subprocess.run(argv, cwd=_ROOT, check=False).returncode
    return Outcome(part, status, time.monotonic() - began)


def print_table(outcomes: Sequence[Outcome]) -> None:
    """Print how each part ended; to standard output, in full width."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("make", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("min:s", justify="right")
    table.add_column("what it does")
    for outcome in outcomes:
        result = {None: "not run", 0: "passed"}.get(outcome.status, "FAILED")
        minutes, seconds = divmod(round(outcome.seconds), 60)
        table.add_row(
            outcome.part.target, result,
            "" if outcome.status is None else f"{minutes}:{seconds:02}",
            outcome.part.does,
        )  # fmt: skip
    Console(width=100 if not sys.stdout.isatty() else None).print(table)


if __name__ == "__main__":
    sys.exit(main())
