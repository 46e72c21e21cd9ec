"""One target, fuzzed by coverage in a process of its own, which it may take with it.

``python -m tests.torture.fuzz_worker TARGET UNTIL SEED FOLDER``, UNTIL being of
CLOCK_MONOTONIC: an input is in
FOLDER/current before it is tried, so whoever started this finds it there when
nothing is left of us. What breaks is written down once for each way it breaks, and
the search goes on. The corpus ends with FOLDER.
"""

import contextlib
import mmap
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import atheris

from tests.torture.fuzz_current import MOST_BYTES, Current

# What is imported in here is watched for what it reaches: all of ours.
with atheris.instrument_imports(include=["harness"], enable_loader_override=False):
    from tests.torture.fuzz_mutations import mutated
    from tests.torture.fuzz_registry import TARGETS
    from tests.torture.fuzz_targets import MOST_MEMORY, Broken, Feed, Target, try_input

# Ways to break that are written down; more say nothing new.
_MOST_FAILURES = 20
_LONGEST_LINE = 400


def limit_memory() -> None:
    """Let this process have so much address space and no more, from here on."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * mmap.PAGESIZE + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


class Trial:
    """Tries inputs; keeps each way of breaking once, with its input."""

    def __init__(self, target: Target, feed: Feed, folder: Path) -> None:
        self._target, self._feed, self._folder = target, feed, folder
        self._current = Current(folder / "current")
        self._ways: set[str] = set()

    def __call__(self, data: bytes) -> None:
        """Try one input."""
        data = data[:MOST_BYTES]
        self._current.begin(data)
        try:
            try_input(self._target, self._feed, data)
        except Broken as broken:
            self._keep(broken, data)

    def _keep(self, broken: Broken, data: bytes) -> None:
        cause = broken.__cause__ or broken
        frames = traceback.extract_tb(cause.__traceback__)
        ours = [f"{f.filename}:{f.lineno}" for f in frames if "/harness/" in f.filename]
        way = f"{type(cause).__name__} {ours[-1:] or str(broken)[:80]}"
        if way in self._ways or len(self._ways) >= _MOST_FAILURES:
            return
        self._ways.add(way)
        stem = self._folder / f"failure-{len(self._ways)}"
        stem.with_suffix(".input").write_bytes(data)
        told = "\n".join(
            line[:_LONGEST_LINE]
            for entry in traceback.format_exception(broken)
            for line in entry.splitlines()
        )
        stem.with_suffix(".txt").write_text(told, errors="backslashreplace")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # What libraries print of hostile input is nobody's to read.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    yield


def main(arguments: list[str]) -> None:
    """Fuzz until the time is over; does not return."""
    name, until, seed, place = arguments
    target, folder = TARGETS[name], Path(place)
    chooser = random.Random(int(seed))
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix="scratch-"))
    with atheris.instrument_imports(include=["harness"], enable_loader_override=False):
        seeds, feed = target.seeds(), target.make(scratch)
    trial = Trial(target, feed, folder)
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate(seeds):
        (corpus / str(number)).write_bytes(content[:MOST_BYTES])
        trial(content)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        if chooser.randrange(2):
            return bytes(atheris.Mutate(data, most))
        return mutated(data or chooser.choice(seeds), chooser)[:most]

    limit_memory()
    # libFuzzer counts whole seconds, and 0 is for ever.
    seconds = max(1, round(float(until) - time.monotonic()))
    options = [
        f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={MOST_BYTES}",
        "-timeout=0", "-rss_limit_mb=0", "-malloc_limit_mb=0", "-detect_leaks=0",
        "-verbosity=0", f"-artifact_prefix={folder}/", str(corpus),
    ]  # fmt: skip
    with _quiet():
        atheris.Setup([sys.argv[0], *options], trial, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
