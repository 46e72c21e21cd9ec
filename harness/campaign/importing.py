"""Imports records from another machine into a campaign: all of them, or none."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.analysis import check_poolable, frame_of_runs
from harness.campaign.resuming import records_but_samples
from harness.errors import RecordError, UsageError
from harness.host.campaign_folders import RECORDS
from harness.host.files import lines_of
from harness.worker.measure import Record, Run, RunEnd, Superseded, parse_record
from harness.worker.measure.records import LONGEST


def foreign_records(path: Path) -> Iterator[Record]:
    """Every record in a file, with the seals checked; an incomplete end is left out.

    A run without an end was interrupted: its samples are kept, but never analysed.
    A Superseded record comes after the end of its run, and the seal does not cover it.
    Raises RecordError, with the line's number, for a line that is not a record, a
    run whose lines do not match its seal, or a sample outside a run; do not use the
    records yielded before the error.
    """
    digests = {}
    seen = set()
    for number, line in enumerate(_lines(path), 1):
        where = f"{path}:{number}"
        try:
            record = parse_record(line)
        except RecordError as error:
            raise RecordError(line, f"{where}: {error.why}") from None
        run = getattr(record, "run", None)
        if isinstance(record, Run):
            if run in seen:
                raise RecordError(line, f"{where}: a run with this name began earlier")
            digests[run] = hashlib.sha256()
            seen.add(run)
        if isinstance(record, Superseded):
            if run not in seen or run in digests:
                raise RecordError(line, f"{where}: its run has not ended before it")
            yield record
            continue
        if run not in digests:
            raise RecordError(line, f"{where}: it is outside its run")
        if isinstance(record, RunEnd):
            if digests[run].hexdigest() != record.seal:
                raise RecordError(
                    line,
                    f"{where}: the lines of run {run} do not match its seal: a line "
                    "was changed, lost or added",
                )
            del digests[run]
        else:
            digests[run].update(line + b"\n")
        yield record
    if not seen:
        raise UsageError(f"{path} contains no runs")


def _lines(path: Path) -> Iterator[bytes]:
    if path.suffix == ".parquet" and path.is_file():
        raise UsageError(
            f"expected records, but {path} is Parquet, which cannot be imported; to "
            f"read it, use: anonvma show {path}"
        )
    try:
        yield from lines_of(path, longest=LONGEST)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def check_fits(runs: Sequence[Run], folder: Path) -> None:
    """Check that imported runs can be added to a campaign.

    Raises UsageError if the campaign already has one of the runs, or if runs that
    would be pooled differ in a fact that must match.
    """
    new = frame_of_runs(runs)
    check_poolable(new)
    there = records_but_samples(folder / RECORDS)
    old = frame_of_runs(record for record in there if isinstance(record, Run))
    if known := sorted(set(new["run"]) & set(old["run"])):
        raise UsageError(f"{folder} already has these runs: {', '.join(known[:3])}")
    check_poolable(old, new)
