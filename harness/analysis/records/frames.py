"""Records as a tidy DataFrame, and as Parquet made from them.

One row per sample, with the facts of its run:

    column                     dtype     what
    metric, unit               category  name, fork, exit_reap, munmap; insns or ns
    value                      int64     the cost, in ``unit``
    order, began               int64     place in the run; clock value at its start
    repetition                 int64     index within the run
    warmup, valid, reason      bool, bool, category
    store                      category  read from the kernel at the sample
    run, session, boot, block, position, seed      identity of the run
    variant, base, build_id, config_sha256, kernel_release, kernel_version
    target, accelerator, machine, cpu, clock, clock_step      where it ran
    vmas, vma_pages, written_pages, naming, name_length       the cell
    map_count, max_map_count, pinned_cpu, fifo, python, harness, protocol, launched
    run_valid                  bool      the run ended valid, and was not superseded

Further columns are the fields of harness.worker.measure.records.Run, with the same
names. Text columns are categories with the sorted values that occur, because a million
samples share a few dozen texts. ``plain`` turns the categories of a small frame into
texts.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa

from harness.analysis.records.gathering import COLUMNS, SAMPLES, Gathering
from harness.analysis.records.lines import blocks_of
from harness.analysis.records.parquet import GROUP, read_frame, write_tables
from harness.analysis.records.pieces import frame_of
from harness.errors import RecordError, UsageError
from harness.host.files import lines_of
from harness.worker.measure import Record, Run, Status, parse_record
from harness.worker.measure.pooling import KERNEL, MUST_MATCH, facts_to_match
from harness.worker.measure.records import LONGEST

_LARGEST = 2**53


class NoSamples(UsageError):
    """The records belong to a campaign, but contain no sample."""


def load(path: Path, columns: Iterable[str] = COLUMNS) -> pd.DataFrame:
    """The samples of a campaign, from its folder, its records.jsonl or its Parquet.

    Warmups, invalid samples and samples of unfinished runs are included and marked.
    An incomplete last line, which a full disk can leave, is ignored. Raises UsageError
    if there is nothing to read, and RecordError for a line that is not a record.
    ``columns`` limits the columns, which saves memory for large campaigns.
    """
    path = _records_at(path)
    if path.suffix == ".parquet":
        return read_frame(path, columns)
    gathering = Gathering(path)
    batches = [gathering.take(block) for block in blocks_of(path)]
    rows = sum(map(len, batches))
    if not rows:
        raise NoSamples(f"{path} has no samples yet")
    joined = gathering.joined()
    return frame_of(map(joined.table, batches), rows, columns)


def stream_parquet(
    path: Path,
    out: Path,
    *,
    compression: str = "lz4",
    metadata: Mapping[bytes, bytes] | None = None,
) -> int:
    """Write a campaign's Parquet, whatever its size. Returns the number of samples.

    ``path`` is a folder or a records.jsonl. The file equals that of ``load`` and
    ``write_parquet``, but memory holds only a part of the samples and the facts of all
    runs. Raises as ``load`` does, and OSError.
    """
    path = _records_at(path)
    gathering = Gathering(path)
    # The last line may still make a run invalid, so samples wait here until then.
    with tempfile.TemporaryFile(dir=out.parent) as waiting:
        rows = _spill((gathering.take(block) for block in blocks_of(path)), waiting)
        if not rows:
            raise NoSamples(f"{path} has no samples yet")
        waiting.seek(0)
        joined = gathering.joined()
        tables = (joined.table(batch) for batch in pa.ipc.open_stream(waiting))
        return write_tables(tables, out, compression=compression, metadata=metadata)


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame of ``load`` as Parquet, completely or not at all."""
    write_tables([pa.Table.from_pandas(frame, preserve_index=False)], path)


def usable(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The samples of a metric to analyse: valid, possible, no warmups."""
    keep = (
        (frame["metric"] == metric)
        & frame["valid"]
        & frame["run_valid"]
        & ~frame["warmup"]
    )
    found = frame[keep]
    excluded = impossible(found)
    return found[~excluded] if excluded.any() else found


def impossible(frame: pd.DataFrame) -> "pd.Series[bool]":
    """Which samples no measurement can produce, although they parse as records.

    Their cost is below 1 or too large for an exact float, their cell has no VMAs, or
    they have names on a kernel that keeps none.
    """
    return (
        ~frame["value"].between(1, _LARGEST)
        | (frame["vmas"] < 1)
        | ((frame["store"] == "absent") & (frame["naming"] != "none"))
    )


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with categories as texts, which suit small frames better."""
    texts = frame.select_dtypes("category").columns
    return frame.astype(dict.fromkeys(texts, "str"))


def check_poolable(*frames: pd.DataFrame) -> None:
    """Check that the runs of each kernel and place, in all frames, may be pooled.

    Raises UsageError with the first fact that differs, and its values.
    """
    facts = [plain(frame[[*KERNEL, *MUST_MATCH]].drop_duplicates()) for frame in frames]
    for place, runs in pd.concat(facts).groupby([*KERNEL]):
        for fact in facts_to_match(runs["unit"].iloc[0]):
            values = runs[fact].drop_duplicates().tolist()
            if len(values) > 1:
                raise UsageError(
                    f"the runs of {' '.join(map(str, place))} cannot be pooled: "
                    f"{fact} differs: {', '.join(map(repr, values))}"
                )


def frame_of_runs(runs: Iterable[Run]) -> pd.DataFrame:
    """The columns of ``check_poolable``, and ``run``: one row per run."""
    facts = ["run", *KERNEL, *MUST_MATCH]
    rows = [[getattr(run, fact) for fact in facts] for run in runs]
    return pd.DataFrame(rows, columns=facts)


def records_of(path: Path) -> Iterator[Record]:
    """The records of a file, in order. RecordError names a line that is none."""
    runs = set()
    for number, line in enumerate(lines_of(path, longest=LONGEST), 1):
        try:
            record = parse_record(line)
        except RecordError as error:
            raise RecordError(line, f"{path}:{number}: {error.why}") from None
        if isinstance(record, Run):
            runs.add(record.run)
        elif not isinstance(record, Status) and record.run not in runs:
            raise RecordError(line, f"{path}:{number}: its run does not come before it")
        yield record


def _records_at(path: Path) -> Path:
    path = path / "records.jsonl" if path.is_dir() else path
    if not path.exists():
        raise UsageError(f"there are no records at {path}")
    return path


def _spill(batches: Iterable[pa.RecordBatch], file: IO[bytes]) -> int:
    """Write samples to a file, at least ``GROUP`` at once. Returns their number."""
    rows = 0
    held: list[pa.RecordBatch] = []
    with pa.ipc.new_stream(file, SAMPLES) as writer:
        for batch in batches:
            held.append(batch)
            rows += len(batch)
            if sum(map(len, held)) >= GROUP:
                writer.write_batch(pa.concat_batches(held))
                held.clear()
        if held:
            writer.write_batch(pa.concat_batches(held))
    return rows
