"""What else goes wrong with machines: each ends with one clear error, records intact.

Every fault is given to a campaign that is begun as users begin it; afterwards the
same command must bring it to its end, each sample once.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from tests.torture.campaigns import (
    Broken,
    Place,
    Small,
    check_complete,
    check_gone,
    check_kept,
    descendants,
    end_of,
    run_to_end,
    running,
)

_UNCHECKED, _ENVIRONMENT, _INTERRUPTED = 1, 3, 130
_SMALL = Small(target="uml")
# Is not over when a command that was begun after its first record takes time.
_LONGER = replace(_SMALL, boots=4)
# Counts instructions, so that two at once are allowed.
_BY_INSTRUCTIONS = Small(target="qemu", boots=1, blocks=2)


@dataclass
class Faults:
    """How often each fault was tried; ``skipped`` need root, which we have not."""

    tried: Counter[str] = field(default_factory=Counter)
    skipped: set[str] = field(default_factory=set)


def fault_until(
    end: float, rng: random.Random, folder: Path, on_line: Callable[[str], None]
) -> Faults:
    """Try every fault in turn until a time of ``time.monotonic``.

    Raises Broken where one is not answered with its error, or records suffer.
    """
    faults = Faults()
    order = rng.sample(_FAULTS, len(_FAULTS))
    while time.monotonic() < end:
        for fault in order:
            if time.monotonic() > end:
                break
            name = fault.__name__
            if name in _NEED_ROOT and os.geteuid():
                faults.skipped.add(name)
                continue
            place = Place(results=folder / f"{name}-{faults.tried[name]}", name="c")
            try:
                fault(place, rng)
            except Broken as broken:
                raise Broken(f"{name}: {broken}") from None
            faults.tried[name] += 1
        on_line(f"faults: {sum(faults.tried.values())} tried: {dict(faults.tried)}")
    return faults


def _expect(answer: tuple[int, str], status: int, *words: str) -> None:
    """Assert that a command ended with a status and one line with one of the words."""
    code, said = answer
    errors = [line for line in said.splitlines() if line.startswith("anonvma: ")]
    if code != status or len(errors) != 1 or not any(w in errors[0] for w in words):
        raise Broken(f"status {code}, expected {status} and {words}: {said[-2000:]}")


def _goes_on(small: Small, place: Place, before: bytes) -> None:
    """Assert that what was acknowledged stays, and that the campaign can be ended."""
    check_kept(before, place)
    status, words = run_to_end(small, place)
    if status:
        raise Broken(f"it cannot be gone on with: status {status}: {words[-2000:]}")
    check_kept(before, place)
    check_complete(small, place)


@contextlib.contextmanager
def _disk_of(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield
    except BaseException:
        # What broke is looked at when the disk is gone.
        shutil.copytree(folder, folder.with_name(f"{folder.name}-kept"))
        raise
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def disk_is_full(place: Place, rng: random.Random) -> None:
    """The disk fills up while records come; then there is room again."""
    # Less than records and Parquet take, often less than records do.
    with _disk_of(place.results, f"{rng.randrange(48, 104, 4)}k"):
        answer = run_to_end(_SMALL, place)
        before = place.whole_lines()
        # The file ends with a whole line whatever was let through of the next.
        if before != place.records.read_bytes():
            raise Broken("a full disk left half a line")
        _expect(answer, _ENVIRONMENT, "disk is full", "No space left on device")
        room = ["mount", "-o", "remount,size=50m", str(place.results)]
        subprocess.run(room, check=True)
        _goes_on(_SMALL, place, before)


def results_are_read_only(place: Place, rng: random.Random) -> None:
    """Results lie where nothing can be written."""
    with _disk_of(place.results, "50m"):
        # The words of the command go there, too.
        place.results.joinpath("c.said").touch()
        readonly = replace(place, results=place.results / "in")
        readonly.results.mkdir()
        bind = ["mount", "--bind", str(readonly.results), str(readonly.results)]
        subprocess.run(bind, check=True)
        try:
            remount = ["mount", "-o", "remount,bind,ro", str(readonly.results)]
            subprocess.run(remount, check=True)
            done = subprocess.run(
                [
                    sys.executable, "-m", "harness", "run", *_SMALL.arguments,
                    "--name", "c", "--results", str(readonly.results),
                ],
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
        finally:
            subprocess.run(["umount", str(readonly.results)], check=True)
        _expect((done.returncode, done.stderr), _ENVIRONMENT, "Read-only file system")
        _goes_on(_SMALL, readonly, b"")


def results_are_removed(place: Place, rng: random.Random) -> None:
    """Somebody removes the campaign while it is measured."""
    with running(_SMALL, place) as (process, said):
        _await_records(process, place, rng.randrange(1, 60))
        if process.poll() is None:
            shutil.rmtree(place.records.parent)
            answer = end_of(process, said)
            _expect(answer, _ENVIRONMENT, "was removed", "No such file or directory")
    _goes_on(_SMALL, place, b"")


def clock_steps_back(place: Place, rng: random.Random) -> None:
    """The time of day goes back by hours while it is measured: in a guest's kernel."""
    small = Small(target="host", boots=1, blocks=3)
    script = (
        "cd /run/tmp && (while :; do date -s @$(($(date +%s) - 3000)) >/dev/null; "
        "sleep 0.2; done) & clock=$!; "
        f"python3 -m harness run {' '.join(small.arguments)} --name c "
        "--results /run/tmp/r >/run/tmp/said 2>&1; status=$?; kill $clock; "
        "[ $status = 0 ] || cat /run/tmp/said >&2; cat /run/tmp/r/c/records.jsonl; "
        "exit $status"
    )
    done = subprocess.run(
        [
            sys.executable, "-m", "harness", "boot", "--target", "uml", "--deadline",
            "240", "--", "sh", "-c", script,
        ],
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    if done.returncode:
        raise Broken(f"status {done.returncode}: {done.stdout[-2000:]!r}")
    place.records.parent.mkdir(parents=True)
    place.records.write_bytes(done.stdout)
    check_complete(small, place)


def guest_runs_out_of_memory(place: Place, rng: random.Random) -> None:
    """A guest has less memory than its cells take: 120 MiB of pages, and more."""
    hungry = Small(target="uml", vmas=3000, pages=10, boots=1, blocks=1)
    program = (
        "import sys; from harness.targets import guest; "
        f"guest._GUEST_MIB = {rng.randrange(68, 90)}; "
        "guest._VMA_BYTES = guest._PAGE_BYTES = 0; "
        "from harness.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    place.results.mkdir(parents=True)
    done = subprocess.run(
        [
            sys.executable, "-c", program, "run", *hungry.arguments, "--name", "c",
            "--results", str(place.results),
        ],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    # The check of a cell is killed, which leaves it unmeasured, or more than that.
    if "traceback" in done.stderr.lower() or "memory" not in done.stderr:
        raise Broken(f"status {done.returncode}: {done.stderr[-2000:]}")
    if done.returncode not in (_UNCHECKED, _ENVIRONMENT):
        raise Broken(f"status {done.returncode} of a guest without memory")
    _goes_on(hungry, place, place.whole_lines())


def guest_stands_still(place: Place, rng: random.Random) -> None:
    """A guest is stopped, and neither speaks nor ends."""
    with running(_SMALL, place, "--silence-deadline", "3") as (process, said):
        _await_records(process, place, rng.randrange(1, 40))
        guests = [p for p in descendants(process) if _is_uml(p)]
        for guest in guests:
            guest.send_signal(signal.SIGSTOP)
        if not guests:
            return
        before = place.whole_lines()
        answer = end_of(process, said)
        check_gone(guests)
        if answer[0]:
            _expect(answer, _ENVIRONMENT, "wrote nothing for", "wrote nothing within")
    _goes_on(_SMALL, place, before)


def _is_uml(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        words = process.cmdline()
        return words[:1] != [] and words[0].endswith("/image")
    return False


def line_is_half_written(place: Place, rng: random.Random) -> None:
    """The last line of the records is cut, as by a machine that lost its power."""
    short = replace(_SMALL, boots=1)
    run_to_end(short, place)
    lines = place.records.read_bytes().splitlines(keepends=True)
    keep = rng.randrange(len(lines) - 1)
    half = lines[keep][: rng.randrange(1, len(lines[keep]))]
    whole = b"".join(lines[:keep])
    place.records.write_bytes(whole + half)
    status, words = run_to_end(short, place)
    if status or "an incomplete line" not in words:
        raise Broken(f"status {status}, and no word of the half line: {words[-2000:]}")
    aside = place.records.with_name("half-written-1.txt")
    if aside.read_bytes() != half:
        raise Broken(f"{aside} is not the half line")
    check_kept(whole, place)
    check_complete(short, place)


def told_to_stop(place: Place, rng: random.Random) -> None:
    """Ctrl-C, or a shutdown's SIGTERM: one word, and nothing stays."""
    number = rng.choice([signal.SIGINT, signal.SIGTERM])
    with running(_SMALL, place) as (process, said):
        _await_records(process, place, rng.randrange(1, 60))
        below = descendants(process)
        # Alone, or all of its group, as a terminal does.
        tell = rng.choice([os.kill, os.killpg])
        if process.poll() is None:
            tell(process.pid, number)
        before = place.whole_lines()
        answer = end_of(process, said)
        check_gone(below)
        if answer[0] or place.whole_lines() != before:
            _expect(answer, _INTERRUPTED, "stopped")
        else:
            # It was at its very end: all that there is had been recorded.
            check_complete(_SMALL, place)
    _goes_on(_SMALL, place, before)


def two_at_one_campaign(place: Place, rng: random.Random) -> None:
    """A second command for a campaign that is being measured."""
    with running(_SMALL, place) as (process, said):
        _await_records(process, place, 1)
        second = subprocess.run(
            [
                sys.executable, "-m", "harness", "run", *_SMALL.arguments, "--name",
                place.name, "--results", str(place.results),
            ],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        if process.poll() is None:
            answer = second.returncode, second.stderr
            _expect(answer, _ENVIRONMENT, f"process {process.pid}")
        status, words = end_of(process, said)
        if status:
            raise Broken(f"the first ended with status {status}: {words[-2000:]}")
    check_complete(_SMALL, place)


def two_on_the_silicon_clock(place: Place, rng: random.Random) -> None:
    """A second campaign that takes time, while one does."""
    with running(_LONGER, place) as (process, said):
        _await_records(process, place, 1)
        other = replace(place, name="d")
        with running(_SMALL, other) as (second, its_words):
            _await_records(second, other, 1)
            taken = place.whole_lines()
            answer = end_of(second, its_words)
        status, words = end_of(process, said)
        if status:
            raise Broken(f"the first ended with status {status}: {words[-2000:]}")
    # The second may take time when the first has taken all of its own.
    if answer[0] or place.whole_lines() != taken:
        _expect(answer, _ENVIRONMENT, f"process {process.pid}")
    check_complete(_LONGER, place)


def two_at_once(place: Place, rng: random.Random) -> None:
    """Two campaigns that count instructions, at once and in one folder."""
    others = [replace(place, name=name) for name in ("c", "d")]
    with contextlib.ExitStack() as stack:
        begun = [stack.enter_context(running(_BY_INSTRUCTIONS, p)) for p in others]
        for other, (process, said) in zip(others, begun, strict=True):
            status, words = end_of(process, said)
            if status:
                raise Broken(f"one ended with status {status}: {words[-2000:]}")
            check_complete(_BY_INSTRUCTIONS, other)


def _await_records(process: subprocess.Popen[bytes], place: Place, lines: int) -> None:
    """Wait until a campaign has so many records, or is over."""
    while place.whole_lines().count(b"\n") < lines and process.poll() is None:
        time.sleep(0.02)


_FAULTS: tuple[Callable[[Place, random.Random], None], ...] = (
    disk_is_full, results_are_read_only, results_are_removed, clock_steps_back,
    guest_runs_out_of_memory, guest_stands_still, line_is_half_written, told_to_stop,
    two_at_one_campaign, two_on_the_silicon_clock, two_at_once,
)  # fmt: skip
_NEED_ROOT = ("disk_is_full", "results_are_read_only")
