"""Campaigns as Parquet: written in pieces, whole or not at all; read with distrust.

Texts are dictionaries, so that a million samples are read in the time that their
numbers take. A file from elsewhere may be cut, damaged or made to be a nuisance:
each page has a checksum, only our columns are read, and only in our types.
"""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.analysis.records.ahead import results_of
from harness.analysis.records.gathering import BOOLS, COLUMNS, NULLABLE, TEXTS
from harness.analysis.records.pieces import frame_of
from harness.errors import UsageError
from harness.host.scratch import scratch_folder
from harness.worker.measure import protocol_of_version
from harness.worker.measure.parsing import CLOSED

# Samples that are together in memory while Parquet is written.
GROUP = 1 << 18
# Dictionaries of no more words go into each group as they are.
_FEW = 64
# A column that files of schema 2 lack, and the one that says it there.
_ADDED, _SAYS_IT = "protocol", "harness"
# A file of a byte may not claim more samples than this: they would be made of
# nothing, and fill the memory.
_MOST_A_BYTE = 16
_ALWAYS = 1 << 20
# With what Parquet begins, and ends.
_MAGIC = b"PAR1"
# What pyarrow raises for a file that is not as it should be.
FAULTS = (OSError, ValueError, MemoryError, OverflowError, pa.ArrowException)


def write_tables(
    tables: Iterable[pa.Table],
    path: Path,
    *,
    compression: str = "lz4",
    metadata: Mapping[bytes, bytes] | None = None,
) -> int:
    """Write tables of one schema, a group of rows each; how many rows they have.

    Raises OSError; what was at ``path`` is then there still.
    """
    rows = 0
    writer = None
    with scratch_folder(path.parent) as scratch:
        made = scratch / path.name
        try:
            for table in tables:
                told = table.replace_schema_metadata(metadata)
                if writer is None:
                    writer = pq.ParquetWriter(
                        made, told.schema, compression=compression,
                        write_page_checksum=True,
                    )  # fmt: skip
                writer.write_table(_compact(told), row_group_size=GROUP)
                rows += len(told)
        finally:
            if writer is not None:
                writer.close()
        made.replace(path)
    return rows


def read_frame(path: Path, columns: Iterable[str] = COLUMNS) -> pd.DataFrame:
    """The samples of a Parquet that was written here, on whatever machine.

    Texts are categories. Raises UsageError.
    """
    wanted = [name for name in COLUMNS if name in {*columns}]
    try:
        with (
            pq.ParquetFile(path, page_checksum_verification=True) as file,
            ThreadPoolExecutor(1) as pool,
        ):
            rows = _rows_of(path, file.metadata)
            _check_columns(path, file.schema_arrow)
            calls = (
                partial(_read_group, path, file, group, wanted)
                for group in range(file.metadata.num_row_groups)
            )
            # One is read while the one before goes into the frame.
            return frame_of(results_of(pool, calls, ahead=1), rows, wanted)
    except FAULTS as error:
        raise UsageError(f"{path} {why_unreadable(path, error)}") from None


def why_unreadable(path: Path, error: BaseException) -> str:
    """In words of ours, what is amiss with a file that pyarrow could not read."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read: {os.strerror(error.errno)}"
    if isinstance(error, MemoryError):
        return "needs more memory to be read than there is"
    if type(error) is ValueError:
        # From here, not from a library: those derive theirs.
        return f"is damaged: {shown(error)}"
    with open(path, "rb") as file:
        begin = file.read(len(_MAGIC))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_MAGIC)))
        end = file.read()
    if not size:
        return "is empty, and no campaign"
    if begin != _MAGIC:
        return "is not Parquet, so no campaign that was exported"
    if end != _MAGIC:
        return "is cut off: it begins as Parquet and lacks its end; copy it again"
    return "is damaged: its parts do not fit its checksums or each other; copy it again"


def _read_group(
    path: Path, file: pq.ParquetFile, group: int, columns: list[str]
) -> pa.Table:
    if _ADDED in file.schema_arrow.names or _ADDED not in columns:
        return _checked(path, file.read_row_group(group, columns=columns))
    stored = {*columns, _SAYS_IT} - {_ADDED}
    table = _checked(path, file.read_row_group(group, columns=sorted(stored)))
    table = table.append_column(_ADDED, _protocols(table[_SAYS_IT]))
    return table.select(columns)


def _protocols(versions: pa.ChunkedArray) -> pa.ChunkedArray:
    """The protocol of each sample of a schema whose runs did not say it."""
    return pa.chunked_array(
        [
            pa.array(
                [protocol_of_version(word) for word in chunk.dictionary.to_pylist()],
                pa.int64(),
            ).take(chunk.indices)
            for chunk in versions.chunks
        ],
        pa.int64(),
    )


def _checked(path: Path, told: pa.Table) -> pa.Table:
    """A group with its texts as dictionaries, and nothing in it that may not be."""
    told.validate(full=True)
    table = pa.table({name: _encoded(told[name]) for name in told.column_names})
    for name in table.column_names:
        column = table[name]
        if name not in NULLABLE and column.null_count:
            raise _foreign(path, f"column {name} has holes")
        for chunk in column.chunks if name in TEXTS else ():
            words = chunk.dictionary.to_pylist()
            if None in words:
                raise _foreign(path, f"column {name} has holes")
            if name in CLOSED and (odd := {*words} - CLOSED[name]):
                raise _foreign(path, f"no {name} is {min(odd)[:60]!r}")
    return table


def shown(error: BaseException) -> str:
    """What a library says about a file, which may quote the file, for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(error))[:300]


def _rows_of(path: Path, metadata: pq.FileMetaData) -> int:
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    most = max(_ALWAYS, _MOST_A_BYTE * path.stat().st_size)
    if min(groups, default=0) < 0 or not 0 <= sum(groups) <= most:
        raise ValueError(f"it claims {sum(groups)} rows, which it is too small for")
    if sum(groups) != metadata.num_rows:
        raise ValueError(f"it claims {metadata.num_rows} rows, its parts {sum(groups)}")
    return sum(groups)


def _check_columns(path: Path, schema: pa.Schema) -> None:
    if missing := sorted({*COLUMNS}.difference(schema.names, [_ADDED])):
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise _foreign(path, f"it has no column {', '.join(missing[:5])}{more}")
    for name in COLUMNS:
        if name == _ADDED and name not in schema.names:
            continue
        if len(schema.get_all_field_indices(name)) > 1:
            raise _foreign(path, f"it has two columns {name}")
        found = schema.field(name).type
        if name in TEXTS and pa.types.is_dictionary(found):
            found = found.value_type
        if found not in _types_of(name):
            raise _foreign(path, f"column {name} is {found}")


def _types_of(name: str) -> tuple[pa.DataType, ...]:
    if name in TEXTS:
        return (pa.string(), pa.large_string())
    return (pa.bool_(),) if name in BOOLS else (pa.int64(),)


def _foreign(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} is not one of our campaigns: {why}")


def _encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        if column.type.value_type == pa.string():
            return column
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type):
        column = column.cast(pa.string())
    return column.dictionary_encode() if pa.types.is_string(column.type) else column


def _compact(table: pa.Table) -> pa.Table:
    """A table whose dictionaries have those of their many texts that it has.

    Else each group of a campaign would carry the name of every run.
    """
    table = table.combine_chunks()
    for at, field in enumerate(table.schema):
        if not pa.types.is_dictionary(field.type) or not len(table):
            continue
        column = table.column(at).chunk(0)
        if len(column.dictionary) > _FEW:
            column = column.cast(field.type.value_type).dictionary_encode()
            table = table.set_column(at, field.name, column.cast(field.type))
    return table
