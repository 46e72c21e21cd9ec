"""Records that were taken elsewhere, brought into a campaign or refused whole."""

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
    """Every record of a file, its seals checked; a half-written end is left out.

    A run without an end was cut off: its samples are kept, and never analysed.
    That a run was superseded stands after its end, outside its seal.
    Raises RecordError, with the line's number, for a line that is no record, a
    run whose lines are not those that were sealed, or a sample of no run; what came
    before it is then worth nothing.
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
                raise RecordError(line, f"{where}: a run of that name began before")
            digests[run] = hashlib.sha256()
            seen.add(run)
        if isinstance(record, Superseded):
            if run not in seen or run in digests:
                raise RecordError(line, f"{where}: its run did not end before it")
            yield record
            continue
        if run not in digests:
            raise RecordError(line, f"{where}: its run is not before it")
        if isinstance(record, RunEnd):
            if digests[run].hexdigest() != record.seal:
                raise RecordError(
                    line,
                    f"{where}: the lines of run {run} are not those that its seal was "
                    "made of: something in them was changed, lost or added",
                )
            del digests[run]
        else:
            digests[run].update(line + b"\n")
        yield record
    if not seen:
        raise UsageError(f"{path} has no runs")


def _lines(path: Path) -> Iterator[bytes]:
    if path.suffix == ".parquet" and path.is_file():
        raise UsageError(
            f"expected records, not Parquet that was made of some: {path} can be read "
            f"as it is: anonvma show {path}"
        )
    try:
        yield from lines_of(path, longest=LONGEST)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def check_fits(runs: Sequence[Run], folder: Path) -> None:
    """Assert that foreign runs may stand beside a campaign's own.

    Raises UsageError: a run that is there already, or what differs between runs
    that would be pooled.
    """
    new = frame_of_runs(runs)
    check_poolable(new)
    there = records_but_samples(folder / RECORDS)
    old = frame_of_runs(record for record in there if isinstance(record, Run))
    if known := sorted(set(new["run"]) & set(old["run"])):
        raise UsageError(f"{folder} has these runs already: {', '.join(known[:3])}")
    check_poolable(old, new)
