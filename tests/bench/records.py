"""results/bench-TIME/records.jsonl: every repetition, as it was taken.

One JSON object a line, appended in one write:

    kind        "repetition", or "failure" with a ``reason``
    figure      the row
    repetition, size, ours, other, unit, clock      see ``Pair``
    ratio       as the row's kind has it
    kernel, python, harness, time                   where and when
"""

import contextlib
import json
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness
from tests.bench.figures import Figure, Pair, ratio_of

RECORDS = "records.jsonl"


def render_pair(figure: Figure, pair: Pair) -> bytes:
    """A repetition as a line."""
    return _line(
        kind="repetition",
        figure=figure.name,
        **asdict(pair),
        ratio=ratio_of(figure.kind, pair),
    )


def render_failure(figure: Figure, reason: str) -> bytes:
    """Why a figure has no repetitions, or no more, as a line."""
    return _line(kind="failure", figure=figure.name, reason=reason)


def parse_pair(line: bytes) -> tuple[str, Pair] | None:
    """The figure and pair of a line; None for a failure."""
    # Any: a file of our own making, in a test.
    record: Any = json.loads(line)
    if record["kind"] != "repetition":
        return None
    names = ("repetition", "ours", "other", "unit", "clock", "size")
    return record["figure"], Pair(**{name: record[name] for name in names})


@contextlib.contextmanager
def appended(results: Path) -> Iterator[tuple[Path, Callable[[bytes], None]]]:
    """A new folder's file of records, and what appends a line to it."""
    stem = datetime.now(UTC).strftime("bench-%Y%m%d-%H%M%S")
    results.mkdir(parents=True, exist_ok=True)
    folder, number = results / stem, 2
    while True:
        try:
            folder.mkdir()
            break
        except FileExistsError:
            folder, number = results / f"{stem}-{number}", number + 1
    path = folder / RECORDS
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:

        def append(line: bytes) -> None:
            if os.write(fd, line) != len(line):
                raise OSError(f"{path}: the disk is full")

        yield path, append
    finally:
        os.close(fd)


def _line(**fields: object) -> bytes:
    told = {
        **fields,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "harness": harness.__version__,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"
