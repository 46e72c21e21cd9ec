"""Campaigns as Parquet: writes them piece by piece, and checks what it reads.

A file is written completely or not at all. Texts are dictionary-encoded, which makes
reading a million samples as fast as reading their numbers. A file from elsewhere may be
cut off, damaged or malicious. So each page has a checksum, and only the expected
columns are read, with the expected types.
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

# The number of samples in memory while Parquet is written.
GROUP = 1 << 18
# A dictionary of at most this many words is written to each group unchanged.
_FEW = 64
# A column that files of schema 2 lack, and the column that it is derived from.
_ADDED, _SOURCE = "protocol", "harness"
# The most samples per byte that a file may claim; a false claim would fill memory.
_MOST_A_BYTE = 16
_ALWAYS = 1 << 20
# The first and the last bytes of a Parquet file.
_MAGIC = b"PAR1"
# The exceptions that pyarrow raises for a damaged file.
FAULTS = (OSError, ValueError, MemoryError, OverflowError, pa.ArrowException)


def write_tables(
    tables: Iterable[pa.Table],
    path: Path,
    *,
    compression: str = "lz4",
    metadata: Mapping[bytes, bytes] | None = None,
) -> int:
    """Write tables of one schema, one row group each. Returns the number of rows.

    Raises OSError; then an existing file at ``path`` is unchanged.
    """
    rows = 0
    writer = None
    with scratch_folder(path.parent) as scratch:
        made = scratch / path.name
        try:
            for table in tables:
                part = table.replace_schema_metadata(metadata)
                if writer is None:
                    writer = pq.ParquetWriter(
                        made, part.schema, compression=compression,
                        write_page_checksum=True,
                    )  # fmt: skip
                writer.write_table(_compact(part), row_group_size=GROUP)
                rows += len(part)
        finally:
            if writer is not None:
                writer.close()
        made.replace(path)
    return rows


def read_frame(path: Path, columns: Iterable[str] = COLUMNS) -> pd.DataFrame:
    """The samples of a Parquet file that anonvma wrote; texts are categories.

    Raises UsageError for a file that is damaged or has other columns.
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
            # Each group is read while the one before is copied into the frame.
            return frame_of(results_of(pool, calls, ahead=1), rows, wanted)
    except FAULTS as error:
        raise UsageError(f"{path} {why_unreadable(path, error)}") from None


def why_unreadable(path: Path, error: BaseException) -> str:
    """Why pyarrow could not read a file, as the end of a sentence."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read: {os.strerror(error.errno)}"
    if isinstance(error, MemoryError):
        return "needs more memory than this machine has"
    if type(error) is ValueError:
        # Raised in this package: libraries raise subclasses of ValueError.
        return f"is damaged: {shown(error)}"
    with open(path, "rb") as file:
        begin = file.read(len(_MAGIC))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_MAGIC)))
        end = file.read()
    if not size:
        return "is empty, so it is not a campaign"
    if begin != _MAGIC:
        return "is not Parquet, so it is not an exported campaign"
    if end != _MAGIC:
        return "is cut off: it begins as Parquet, but its end is missing; copy it again"
    return "is damaged: its parts do not match its checksums; copy it again"


def _read_group(
    path: Path, file: pq.ParquetFile, group: int, columns: list[str]
) -> pa.Table:
    if _ADDED in file.schema_arrow.names or _ADDED not in columns:
        return _checked(path, file.read_row_group(group, columns=columns))
    stored = {*columns, _SOURCE} - {_ADDED}
    table = _checked(path, file.read_row_group(group, columns=sorted(stored)))
    table = table.append_column(_ADDED, _protocols(table[_SOURCE]))
    return table.select(columns)


def _protocols(versions: pa.ChunkedArray) -> pa.ChunkedArray:
    """The protocol of each sample, for the schema whose runs did not record it."""
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


def _checked(path: Path, stored: pa.Table) -> pa.Table:
    """A group with dictionary-encoded texts. Raises UsageError for invalid values."""
    stored.validate(full=True)
    table = pa.table({name: _encoded(stored[name]) for name in stored.column_names})
    for name in table.column_names:
        column = table[name]
        if name not in NULLABLE and column.null_count:
            raise _foreign(path, f"column {name} lacks values")
        for chunk in column.chunks if name in TEXTS else ():
            words = chunk.dictionary.to_pylist()
            if None in words:
                raise _foreign(path, f"column {name} lacks values")
            if name in CLOSED and (unknown := {*words} - CLOSED[name]):
                raise _foreign(path, f"{min(unknown)[:60]!r} is not a {name}")
    return table


def shown(error: BaseException) -> str:
    """A library's error message, which may quote the file, safe for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(error))[:300]


def _rows_of(path: Path, metadata: pq.FileMetaData) -> int:
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    most = max(_ALWAYS, _MOST_A_BYTE * path.stat().st_size)
    if min(groups, default=0) < 0 or not 0 <= sum(groups) <= most:
        raise ValueError(f"it claims {sum(groups)} rows, but is too small for them")
    if sum(groups) != metadata.num_rows:
        raise ValueError(
            f"it claims {metadata.num_rows} rows, but its parts have {sum(groups)}"
        )
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
    return UsageError(f"{path} is not an exported campaign: {why}")


def _encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        if column.type.value_type == pa.string():
            return column
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type):
        column = column.cast(pa.string())
    return column.dictionary_encode() if pa.types.is_string(column.type) else column


def _compact(table: pa.Table) -> pa.Table:
    """The table with large dictionaries reduced to the texts that it uses.

    Otherwise each group of a campaign would contain the names of all runs.
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
