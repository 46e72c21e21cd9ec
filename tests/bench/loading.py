"""A campaign from its file: how fast, and in how much memory."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from harness.analysis import load, write_parquet
from harness.errors import JobFailed
from harness.host.programs import printable
from harness.worker.measure import Record, RunEnd, Sample, render_record
from tests.bench.figures import Figure, Kind, Pair
from tests.bench.taking import Setting, Subject, Taken, by_turns, elapsed_ns
from tests.synthetic import run_of, whole_run

_JSON = Figure(
    name="load-json",
    what="load a campaign of 1 000 000 samples",
    against="pandas.read_json(lines=True) of the same lines",
    kind=Kind.FASTER,
    reach=5,
)
_PARQUET = Figure(
    name="load-parquet",
    what="load the same campaign's Parquet",
    against="pandas.read_json(lines=True) of the lines",
    kind=Kind.FASTER,
    reach=50,
)
_MEMORY = Figure(
    name="load-memory",
    what="most memory while 10 000 000 samples become Parquet",
    against="1 GiB",
    kind=Kind.UNDER,
    reach=1,
    exact=True,
)
# Two samples a fork, a warmup and munmap, as tests.synthetic has them.
_FORKS = 48
_SAMPLES_A_RUN = 2 * (_FORKS + 1) + 1

# Of its own: what it takes is then its own. VmHWM is of the process's memory
# only, as ru_maxrss is not: that has the parent's in it.
_CONVERT = """
import sys
from pathlib import Path
from harness.analysis import stream_parquet
stream_parquet(Path(sys.argv[1]), Path(sys.argv[2]))
status = Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""


def write_campaign(path: Path, samples: int) -> None:
    """Records of at least so many samples, 99 a run, no two runs the same.

    The lines of a run are those of one that was rendered whole, with its name and
    its numbers put in: rendering ten million takes longer than loading them.
    """
    template = _template_of(whole_run(run_of(run=_RUN), [1] * _FORKS)[1:-1])
    with open(path, "wb") as file:
        for number in range(-(-samples // _SAMPLES_A_RUN)):
            run = run_of(run=f"s-{number}-0", boot=number)
            numbers: list[object] = []
            for order in range(_SAMPLES_A_RUN):
                cost = 50_000_000 + (number * 7919 + order * 104_729) % 999_983
                numbers += (run.run.encode(), number * 10**9 + order * 10**6, cost)
            lines = render_record(run) + template % tuple(numbers)
            seal = hashlib.sha256(lines).hexdigest()
            end = RunEnd(run=run.run, valid=True, reason="", seal=seal)
            file.write(lines + render_record(end))


_RUN = "RUN"


def _template_of(samples: Sequence[Record]) -> bytes:
    lines = []
    for sample in samples:
        assert isinstance(sample, Sample)
        line = render_record(replace(sample, began=-1, value=-2))
        line = line.replace(b'"run":"RUN"', b'"run":"%b"')
        lines.append(line.replace(b":-1,", b":%d,").replace(b":-2,", b":%d,"))
    return b"".join(lines)


def _measure_speed(setting: Setting) -> Iterator[Taken]:
    lines = setting.scratch / "records.jsonl"
    setting.on_step("writing a campaign")
    write_campaign(lines, setting.pick(1_000_000, 50_000))
    parquet = setting.scratch / "records.parquet"
    write_parquet(load(lines), parquet)

    def by_pandas() -> int:
        return elapsed_ns(lambda: pd.read_json(lines, lines=True))

    for figure, path in ((_JSON, lines), (_PARQUET, parquet)):
        if figure.name in setting.chosen:
            for pair in by_turns(
                partial(elapsed_ns, partial(load, path)), by_pandas,
                repetitions=setting.pick(3, 2), warmup=setting.quick,
            ):  # fmt: skip
                yield figure.name, pair


def _measure_memory(setting: Setting) -> Iterator[Taken]:
    lines = setting.scratch / "large.jsonl"
    setting.on_step("writing a large campaign")
    write_campaign(lines, setting.pick(10_000_000, 200_000))
    try:
        yield _MEMORY.name, _memory_pair(lines, setting.scratch / "large.parquet")
    finally:
        lines.unlink()


def _memory_pair(lines: Path, parquet: Path) -> Pair:
    done = subprocess.run(
        [sys.executable, "-c", _CONVERT, str(lines), str(parquet)],
        capture_output=True, text=True, check=False, timeout=3600,
    )  # fmt: skip
    if done.returncode:
        raise JobFailed(
            f"the conversion to Parquet failed: {printable(done.stderr[-300:])}",
            "",
        )
    return Pair(
        repetition=0, ours=int(done.stdout) * 1024, other=1 << 30,
        unit="bytes", clock="VmHWM",
    )  # fmt: skip


LOADING = Subject(figures=(_JSON, _PARQUET), measure=_measure_speed)
LOADING_MEMORY = Subject(figures=(_MEMORY,), measure=_measure_memory, takes_time=False)
