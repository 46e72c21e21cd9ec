"""Small campaigns, begun as users begin them, and what must hold of their records."""

import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.analysis import load, usable
from harness.worker.measure import Sample, parse_record
from harness.workload import Store

# Far beyond what any of these takes; whoever is not done by then hangs.
DEADLINE_S = 240
_REPETITIONS = 3


class Broken(AssertionError):
    """A promise was broken; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """A campaign that takes seconds: its target, and what it varies."""

    target: str
    vmas: int = 150
    pages: int = 0
    naming: str = "distinct:20"
    boots: int = 2
    blocks: int = 3

    @property
    def arguments(self) -> list[str]:
        """What ``anonvma run`` is told, but for the name and the place."""
        return [
            "--target", self.target, "--vmas", str(self.vmas),
            "--pages", str(self.pages), "--naming", self.naming,
            "--boots", str(self.boots), "--blocks", str(self.blocks),
            "--repetitions", str(_REPETITIONS), "--warmups", "1",
        ]  # fmt: skip

    @property
    def cells_of_block(self) -> int:
        """Two unnamed arms, and the named one in each store of variant switch."""
        names = 0 if self.naming == "none" else len((Store.REFCOUNTED, Store.STRDUP))
        return 2 + names


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A campaign on disk: its results folder, and its name there."""

    results: Path
    name: str

    @property
    def records(self) -> Path:
        """Its records."""
        return self.results / self.name / "records.jsonl"

    def whole_lines(self) -> bytes:
        """The records that were acknowledged by now."""
        try:
            text = self.records.read_bytes()
        except FileNotFoundError:
            return b""
        return text[: text.rfind(b"\n") + 1]


@contextlib.contextmanager
def running(
    small: Small, place: Place, *more: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """``anonvma run`` of a campaign, and where its words go; killed at the end.

    It leads a group of its own, as a shell's job does, and ignores no signal, as one
    in the background may: that it is told to stop is what some faults try.
    """
    place.results.mkdir(parents=True, exist_ok=True)
    said = place.results / f"{place.name}.said"
    with open(said, "wb") as out:
        process = subprocess.Popen(
            [
                "env", "--default-signal=INT,HUP,TERM",
                sys.executable, "-m", "harness", "run", *small.arguments, *more,
                "--name", place.name, "--results", str(place.results),
            ],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        yield process, said
    finally:
        process.kill()
        process.wait()


def run_to_end(small: Small, place: Place, *more: str) -> tuple[int, str]:
    """Run a campaign: its exit status and what it said."""
    with running(small, place, *more) as (process, said):
        return end_of(process, said)


def end_of(process: subprocess.Popen[bytes], said: Path) -> tuple[int, str]:
    """Wait for a command: its exit status, and what it said, which is no traceback."""
    try:
        status = process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        raise Broken(f"not done within {DEADLINE_S} s: {_tail(said)}") from None
    words = said.read_text(errors="replace")
    if any(line.startswith("Traceback") for line in words.splitlines()):
        raise Broken(f"a traceback instead of an error: {_tail(said)}")
    return status, words


def _tail(said: Path) -> str:
    return said.read_text(errors="replace")[-2000:]


def descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """All processes that come from one, leash and guests included."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def check_gone(processes: list[psutil.Process], *, within_s: float = 30) -> None:
    """Assert that processes end by themselves."""
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    if alive:
        raise Broken(f"still running: {[_shown(p) for p in alive]}")


def _shown(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())[:200]
    return "gone"


def check_kept(before: bytes, place: Place) -> None:
    """Assert that what was acknowledged is still there, as it was, at its place."""
    if not place.whole_lines().startswith(before):
        raise Broken(f"{place.records} lost or changed acknowledged records")


def check_complete(small: Small, place: Place) -> int:
    """Assert that each cell is there once, with every sample: how many there are.

    One that is invalid as a child ran too early counts: a host that is busy lets a
    guest wait. No record is in the file twice, superseded ones included.
    """
    lines = place.records.read_bytes().splitlines()
    taken = [
        record for line in lines if isinstance(record := parse_record(line), Sample)
    ]
    twice = [
        key for key, n in Counter((s.run, s.order) for s in taken).items() if n > 1
    ]
    if twice:
        raise Broken(f"{len(twice)} samples are recorded twice: {twice[:3]}")
    frame = load(place.records.parent)
    early = frame["reason"] == "the child ran before fork returned"
    forks = usable(frame.assign(valid=frame["valid"] | early), "fork")
    blocks = forks.groupby(["boot", "block"])["run"].agg(["nunique", "size"])
    cells = small.cells_of_block
    wanted = {(cells, cells * _REPETITIONS)}
    found = set(blocks.itertuples(index=False, name=None))
    if len(blocks) != small.boots * small.blocks or found != wanted:
        raise Broken(
            f"{len(blocks)} blocks have (cells, forks) {sorted(found)}; "
            f"{small.boots * small.blocks} with {wanted} were planned"
        )
    return len(taken)


def wait_until(instant: float, process: subprocess.Popen[bytes]) -> bool:
    """Sleep until a time of ``time.monotonic``; False where the process ends before."""
    while (left := instant - time.monotonic()) > 0:
        if process.poll() is not None:
            return False
        time.sleep(min(left, 0.02))
    return process.poll() is None
