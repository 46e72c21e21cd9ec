"""Records as a tidy DataFrame, and as Parquet derived from them.

One row a sample, with the facts of its run beside it:

    column                     dtype    what
    metric, unit               str      name, fork, exit_reap, munmap; insns or ns
    value                      int64    the cost, in ``unit``
    order, began               int64    place in the run; clock when it began
    repetition                 int64    index within the run
    warmup, valid, reason      bool, bool, str
    store                      str      as the kernel said at the sample
    run, session, boot, block, position, seed      identity of the run
    variant, base, build_id, config_sha256, kernel_release, kernel_version
    target, accelerator, machine, cpu, clock, clock_step      where it ran
    vmas, vma_pages, written_pages, naming, name_length       the cell
    map_count, max_map_count, pinned_cpu, fifo, python, harness, launched
    run_valid                  bool     the run ended valid, and was not superseded

Other columns are those of harness.measure.records.Run, by the same names.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from harness.analysis.foreign import read_samples
from harness.errors import RecordError, UsageError
from harness.measure import Record, Run, RunEnd, Sample, Superseded, parse_record
from harness.scratch import scratch_folder

# A kernel, and where it runs on which clock; and the facts that must then be the
# same for two runs to be pooled.
KERNEL = ("variant", "base", "target", "machine", "accelerator", "unit")
MUST_MATCH = (
    "build_id", "config_sha256", "kernel_release", "cpu", "clock",
    "settle_ms", "rest_ms", "settings", "harness", "python",
)  # fmt: skip


def load(path: Path) -> pd.DataFrame:
    """The samples of a campaign: its folder, its records.jsonl or its Parquet.

    Warmups, invalid samples and samples of unfinished runs are in it, marked.
    A last line without its newline, as a full disk leaves it, is left out.
    Raises UsageError when there is nothing to read, RecordError for a line that
    is not a record.
    """
    if path.is_dir():
        path = path / "records.jsonl"
    if not path.exists():
        raise UsageError(f"there are no records at {path}")
    if path.suffix == ".parquet":
        return read_samples(path)
    return _frame_of(path)


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame that ``load`` made, whole or not at all."""
    with scratch_folder(path.parent) as scratch:
        made = scratch / path.name
        frame.to_parquet(made, index=False)
        made.replace(path)


def usable(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The samples of a metric that may be analysed: valid, no warmups."""
    keep = (
        (frame["metric"] == metric)
        & frame["valid"]
        & frame["run_valid"]
        & ~frame["warmup"]
    )
    return frame[keep]


def check_poolable(*frames: pd.DataFrame) -> None:
    """Assert that the runs of each kernel and place, in all frames, may be pooled.

    Raises UsageError, which names the first fact that differs, and its values.
    """
    facts = [frame[[*KERNEL, *MUST_MATCH]].drop_duplicates() for frame in frames]
    for place, runs in pd.concat(facts).groupby([*KERNEL]):
        for fact in MUST_MATCH:
            values = runs[fact].drop_duplicates().tolist()
            if len(values) > 1:
                raise UsageError(
                    f"the runs of {' '.join(map(str, place))} may not be pooled: "
                    f"{fact} differs: {', '.join(map(repr, values))}"
                )


def frame_of_records(records: Iterable[Record]) -> pd.DataFrame:
    """Records as a frame like that of ``load``; a run stands before its samples.

    Empty where there are no samples.
    """
    runs: dict[str, Run] = {}
    ended: dict[str, bool] = {}
    superseded: set[str] = set()
    samples: list[Sample] = []
    for record in records:
        match record:
            case Run():
                runs[record.run] = record
            case Sample():
                samples.append(record)
            case RunEnd():
                ended[record.run] = record.valid
            case Superseded():
                superseded.add(record.run)
    valid = {run for run, valid in ended.items() if valid} - superseded
    facts = {name: asdict(run) for name, run in runs.items()}
    rows = [{**facts[s.run], **asdict(s), "run_valid": s.run in valid} for s in samples]
    names = [field.name for kind in (Run, Sample) for field in fields(kind)]
    return pd.DataFrame(rows, columns=[*dict.fromkeys(names), "run_valid"])


def _frame_of(path: Path) -> pd.DataFrame:
    frame = frame_of_records(records_of(path))
    if frame.empty:
        raise UsageError(f"{path} has no samples yet")
    return frame


def records_of(path: Path) -> Iterator[Record]:
    """The records of a file in order; RecordError names the line that is none."""
    runs = set()
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            record = parse_record(line)
        except RecordError as error:
            raise RecordError(line, f"{path}:{number}: {error}") from None
        if isinstance(record, Run):
            runs.add(record.run)
        if isinstance(record, Sample | Superseded) and record.run not in runs:
            raise RecordError(line, f"{path}:{number}: its run is not before it")
        yield record
