"""What a whole ``make run`` takes, beside the guests that it is for.

Kernels and roots are there; what remains is make, imports, the plan, guests, table.
A program that stands before QEMU in PATH writes down how long each guest ran: what
measures is left as it is.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from harness.arch import UM
from harness.errors import JobFailed
from tests.bench.figures import Figure, Kind, Pair
from tests.bench.programs import built
from tests.bench.taking import Setting, Subject, Taken

_FIGURE = Figure(
    name="run",
    what="warm make run, from make to the table",
    against="the sum of its guests' own run times",
    kind=Kind.AT_MOST,
    reach=1.3,
)
_REPOSITORY = Path(__file__).parents[2]
_GUESTS = "qemu-system-aarch64"
# The plan that `make run` has in fewer boots and sizes, or the least that is one:
# the shorter the guests run, the more all else weighs.
_FULL = "--boots 2 --vmas 1000,16000"
_QUICK = "--boots 2 --vmas 1000 --naming distinct:79 --repetitions 3"


def _run(setting: Setting, shims: Path, plan: str, number: int) -> tuple[int, int]:
    """The wall time of one run, and the sum of its guests' times, in ns."""
    times = setting.scratch / f"times-{number}"
    path = os.environ.get("PATH", os.defpath)
    # One guest at a time: where they overlap, their sum is no limit. Under KVM it
    # would ask for the clock that the bench holds.
    arguments = f"{plan} --jobs 1 --accel icount --results {setting.scratch}/results"
    began = time.perf_counter_ns()
    done = subprocess.run(
        ["make", "--no-print-directory", "run", f"ARGS={arguments}"],
        cwd=_REPOSITORY,
        env={
            **os.environ,
            "PATH": f"{shims}:{path}",
            "BENCH_PATH": path,
            "BENCH_TIMES": str(times),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    took = time.perf_counter_ns() - began
    if done.returncode:
        raise JobFailed(f"make run ended with {done.returncode}", done.stderr[-2000:])
    lines = times.read_text().splitlines()
    return took, sum(int(line.split()[1]) for line in lines)


def _measure(setting: Setting) -> Iterator[Taken]:
    shims = setting.scratch / "bin"
    shims.mkdir()
    shim = shims / _GUESTS
    shim.write_bytes(built("timed", UM, setting.scratch))
    shim.chmod(0o755)
    # A run, that of all before included, before the clock: pages of files, bytecode.
    setting.on_step("running once to be warm")
    _run(setting, shims, _QUICK, 0)
    plan = _QUICK if setting.quick else _FULL
    for repetition in range(setting.pick(3, 1)):
        took, guests = _run(setting, shims, plan, repetition + 1)
        yield (
            _FIGURE.name,
            Pair(
                repetition=repetition, ours=took, other=guests,
                unit="ns", clock="CLOCK_MONOTONIC",
            ),
        )  # fmt: skip


WARM = Subject(figures=(_FIGURE,), measure=_measure)
