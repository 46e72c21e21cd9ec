"""The bench's half inside a guest: ours and the C program by turns, in one boot.

Standard library and the rooms that run next to a kernel only, as a script of its
own: ``python3 guest_side.py REQUEST``, a JSON object with ``what`` (a key of
``_SUBJECTS``), ``program`` (where the C program is) and what that subject takes.
Each pair of numbers is a line of JSON, as ``_tell`` writes it.
"""

import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

from harness.linux import pin_to_one_cpu, read_maps
from harness.worker.measure import Job, Sample, parse_job, parse_record, render_job
from harness.worker.measure.arena import CLOCK, Arena, give_names
from harness.worker.measure.experiment import check_from_child
from harness.worker.measure.settings import map_count_up_to, settings_of
from harness.workload import Cell, Store, layout_of, naming_from_label

_Taken = TypeVar("_Taken")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the host asks for; ``job`` is a worker's, for forks only."""

    what: str
    program: str
    sizes: tuple[int, ...]
    repetitions: int
    length: int = 79
    job: str = ""


def main(words: str) -> None:
    """Do what the request says, under the map count that it needs."""
    request = Request(**json.loads(words))
    most = layout_of(max(request.sizes), 0).map_count_needed
    with map_count_up_to(most):
        _SUBJECTS[request.what](request)


def _naming(request: Request) -> None:
    (vmas,) = request.sizes
    naming = naming_from_label(f"distinct:{request.length}")

    def name() -> list[float]:
        with (
            Arena(layout_of(vmas, 0), seed=1) as arena,
            arena.naming_loop(naming) as loop,
        ):
            before, after = give_names(loop, CLOCK)
        return [after - before]

    for repetition in range(request.repetitions):
        ours, limit = _in_turn(
            repetition,
            lambda: _apart(name)[0],
            lambda: _by_c(request, "name", vmas, request.length)[0],
        )
        _tell("name", repetition, ours, limit)


def _building(request: Request) -> None:
    (vmas,) = request.sizes
    for repetition in range(request.repetitions):
        ours, limit = _in_turn(
            repetition,
            lambda: sum(_apart(partial(_build_and_verify, vmas))),
            lambda: _by_c(request, "build", vmas)[0],
        )
        _tell("build", repetition, ours, limit)


def _growing(request: Request) -> None:
    for repetition in range(request.repetitions):
        for vmas in request.sizes:
            build, verify = _apart(partial(_build_and_verify, vmas))
            _tell("growth-build", repetition, build, 0, size=vmas)
            _tell("growth-verify", repetition, verify, 0, size=vmas)


def _build_and_verify(vmas: int) -> list[float]:
    now = time.clock_gettime_ns
    cell = _cell(vmas, "none")
    before = now(CLOCK)
    with Arena(cell.layout, seed=1) as arena:
        built = now(CLOCK)
        check_from_child(arena, cell)
        verified = now(CLOCK)
    return [built - before, verified - built]


def _verifying(request: Request) -> None:
    (vmas,) = request.sizes
    cell = _cell(vmas, f"distinct:{request.length}")

    def peak() -> list[float]:
        with Arena(cell.layout, seed=1) as arena:
            arena.name(cell.naming)
            # What every child has, of one that does nothing.
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
            before = _peak_of_children()
            check_from_child(arena, cell)
            return [_peak_of_children() - before, len(read_maps())]

    for repetition in range(request.repetitions):
        ours, text = _apart(peak)
        _tell("verify", repetition, ours, text)


def _forking(request: Request) -> None:
    job = parse_job(request.job.encode())
    (vmas,) = request.sizes
    conditions = job.conditions
    named = f"distinct:{request.length}"
    # One set of sysctls for all of them; the worker finds them as it wants them.
    with settings_of(dict(conditions.settings)):
        for repetition in range(request.repetitions):
            step = -1 if repetition % 2 else 1
            lengths = [0, 0, request.length][::step]
            ours, limit = _in_turn(
                repetition,
                partial(_by_worker, job, vmas, ["none", "none", named][::step]),
                partial(
                    _by_c, request, "fork", vmas, conditions.settle_ms,
                    conditions.rest_ms, job.warmups, job.repetitions, *lengths,
                ),
            )  # fmt: skip
            _tell_forks(repetition, _medians(ours)[::step], _medians(limit)[::step])


def _medians(forks: Sequence[float]) -> list[float]:
    """Of each of the three cells, whose forks follow one another."""
    each = len(forks) // 3
    return [median(forks[at : at + each]) for at in range(0, len(forks), each)]


def _tell_forks(repetition: int, ours: Sequence[float], limit: Sequence[float]) -> None:
    unnamed, again, named = ours
    c_unnamed, _, c_named = limit
    _tell("fork-unnamed", repetition, unnamed, c_unnamed)
    _tell("fork-named", repetition, named, c_named)
    _tell("fork-difference", repetition, named - unnamed, c_named - c_unnamed)
    _tell("noise", repetition, unnamed, again)


def _by_worker(job: Job, vmas: int, labels: Sequence[str]) -> list[float]:
    """The forks of some cells, by the worker as every campaign starts it."""
    cells = tuple(
        replace(job.cells[0], cell=replace(_cell(vmas, label), store=job.stores[0]))
        for label in labels
    )
    with tempfile.TemporaryDirectory() as scratch:
        path, records = Path(scratch) / "job.json", Path(scratch) / "records.jsonl"
        path.write_bytes(render_job(replace(job, cells=cells)))
        with open(records, "wb") as out:
            subprocess.run(
                [*_PYTHON, "-c", _FROM_BUNDLE, path, str(out.fileno())],
                pass_fds=(out.fileno(),), check=True,
            )  # fmt: skip
        found = [parse_record(line) for line in records.read_bytes().splitlines()]
    samples = [r for r in found if isinstance(r, Sample) and r.metric == "fork"]
    assert all(sample.valid for sample in samples), samples
    return [sample.value for sample in samples if not sample.warmup]


def _by_c(request: Request, *words: object) -> list[float]:
    """The numbers that the C program prints; it must end well."""
    done = subprocess.run(
        [request.program, *map(str, words)], stdout=subprocess.PIPE, check=True
    )
    return [float(line) for line in done.stdout.split()]


def _apart(take: Callable[[], list[float]]) -> list[float]:
    """What a function measures in a process of its own, as every cell has one."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            gc.disable()
            os.write(writing, json.dumps(take()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    if not said:
        raise RuntimeError("a process that was to measure died")
    numbers: list[float] = json.loads(said)
    return numbers


def _in_turn(
    repetition: int, ours: Callable[[], _Taken], limit: Callable[[], _Taken]
) -> tuple[_Taken, _Taken]:
    if repetition % 2:
        second = limit()
        return ours(), second
    first = ours()
    return first, limit()


def _cell(vmas: int, label: str) -> Cell:
    return Cell(
        store=Store.REFCOUNTED,
        layout=layout_of(vmas, 0),
        naming=naming_from_label(label),
    )


def _peak_of_children() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _tell(
    figure: str, repetition: int, ours: float, other: float, *, size: int = 0
) -> None:
    told = {"figure": figure, "repetition": repetition, "ours": ours, "other": other,
            "size": size}  # fmt: skip
    os.write(1, json.dumps(told).encode() + b"\n")


# As init's interpreter is started, whose child every worker is; and as workers are
# loaded: from the bundle, beside which this script lies.
_PYTHON = [sys.executable, "-S"]
_FROM_BUNDLE = f"""
import sys
start = {{"__name__": "guest_start"}}
exec(open({str(Path(__file__).with_name("start.py"))!r}).read(), start)
start["use_bundle"]({str(Path(__file__).with_name("worker.bundle"))!r}, "")
import harness.worker.measure.worker as worker
sys.exit(worker.main(sys.argv[1:]))
"""
_SUBJECTS = {
    "name": _naming,
    "build": _building,
    "growth": _growing,
    "verify": _verifying,
    "fork": _forking,
}

if __name__ == "__main__":
    pin_to_one_cpu()
    main(sys.argv[1])
