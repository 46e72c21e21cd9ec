"""Hostile input for every reader: ``python -m tests.torture.fuzz --seconds 60``.

The registry is tried by Hypothesis in ``make check`` (test_fuzz.py), and here by
coverage: each target in processes of their own with a share of the time, so that a
hang or a crash takes nothing else with it. Exits with 1 when anything broke.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import sched_getaffinity
from pathlib import Path

from harness.host.programs import leashed
from tests.torture.fuzz_current import read_current
from tests.torture.fuzz_registry import TARGETS

RESULTS = Path("results")
# Past its share a worker has its imports, its last input and no more.
_GRACE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A target that did what none may; ``saved`` is the input that made it."""

    target: str
    saved: Path
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzReport:
    """What was tried, as (target, inputs), in how long, and what broke."""

    tried: tuple[tuple[str, int], ...]
    failures: tuple[Failure, ...]
    seconds: float

    @property
    def inputs(self) -> int:
        """All inputs of all targets."""
        return sum(count for _, count in self.tried)


def fuzz(
    seconds: float,
    seed: int,
    on_line: Callable[[str], None],
    *,
    only: Sequence[str] = (),
    results: Path = RESULTS,
) -> FuzzReport:
    """Fuzz every target, or ``only`` some, for about so long in all.

    As many at once as there are CPUs; ``on_line`` is told what came of each. What
    broke is kept in ``results``/fuzz-SEED-TARGET-N.input, beside its traceback.
    """
    names = list(only or TARGETS)
    started = time.monotonic()
    workers = min(len(names), len(sched_getaffinity(0)))
    share = seconds * workers / len(names)
    lock = threading.Lock()
    tried: dict[str, int] = {}
    failures: list[Failure] = []

    def one(name: str) -> None:
        count, found = _fuzz_one(name, share, seed, results)
        with lock:
            tried[name] = count
            failures.extend(found)
            broke = f", {len(found)} FAILED" if found else ""
            on_line(f"fuzz: {name}: {count} inputs{broke}")

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, names))
    return FuzzReport(
        tried=tuple((name, tried[name]) for name in names),
        failures=tuple(failures),
        seconds=time.monotonic() - started,
    )


def _fuzz_one(
    name: str, share: float, seed: int, results: Path
) -> tuple[int, list[Failure]]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        folder = Path(scratch)
        said = folder / "said"
        argv = [
            sys.executable, "-m", "tests.torture.fuzz_worker", name,
            str(time.monotonic() + share), str(seed % 2**31 or 1), scratch,
        ]  # fmt: skip
        with open(said, "wb") as out:
            status = _run(argv, out.fileno(), share + _GRACE_S)
        count, last = read_current(folder / "current")
        found = [
            (path.read_bytes(), path.with_suffix(".txt").read_text())
            for path in sorted(folder.glob("failure-*.input"))
        ]
        if status != 0:
            how = "it hung" if status is None else f"its process ended with {status}"
            words = said.read_text(errors="backslashreplace")[-4000:]
            found.append((last, f"{name}: {how}\n{words}"))
        return count, [
            _kept(name, number, seed, data, told, results)
            for number, (data, told) in enumerate(found, 1)
        ]


def _run(argv: Sequence[str], out: int, deadline_s: float) -> int | None:
    with leashed(argv, stdout=out, stderr=out) as process:
        try:
            return process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return None


def _kept(
    name: str, number: int, seed: int, data: bytes, told: str, results: Path
) -> Failure:
    results.mkdir(parents=True, exist_ok=True)
    saved = results / f"fuzz-{seed}-{name}-{number}.input"
    saved.write_bytes(data)
    saved.with_suffix(".txt").write_text(told, errors="backslashreplace")
    return Failure(target=name, saved=saved, traceback=told)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz as told, and tell what came of it; 1 where anything broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", default="", metavar="TARGET,...")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    only = [name for name in options.only.split(",") if name]
    if unknown := sorted(set(only) - TARGETS.keys()):
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    report = fuzz(options.seconds, options.seed, print, only=only)
    for failure in report.failures:
        print(f"\n{failure.target}: {failure.saved}\n{failure.traceback}")
    print(
        f"{report.inputs} inputs to {len(report.tried)} targets in "
        f"{report.seconds:.0f} s: {len(report.failures)} failures"
    )
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
