"""Parquet from elsewhere: every column and its type seen before pandas gets it.

What pandas wrote beside the columns says how to make a frame of them, and is not
believed: the columns are read as what records hold.
"""

import typing
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import UsageError
from harness.measure import Run, Sample
from harness.measure.records import CLOSED

# Ten times the largest campaign that anybody means to run.
_MOST_ROWS = 100_000_000


def read_samples(path: Path) -> pd.DataFrame:
    """The samples in a Parquet file that ``write_parquet`` or an export made.

    Raises UsageError for anything else: no Parquet, a column that is missing, or
    holds what records do not.
    """
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow, file.metadata.num_rows)
            table = file.read(columns=list(_KINDS))
        _check_values(path, table)
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
        return frame
    # Arrow's own errors are of several kinds, and not all of them are told.
    except (
        OSError, ValueError, TypeError, LookupError, NotImplementedError,
        MemoryError, OverflowError, pa.ArrowException,
    ) as error:  # fmt: skip
        raise UsageError(f"{path} is not Parquet: {error!s:.300}") from None


def _kinds() -> dict[str, tuple[type, bool]]:
    # The type of each column, and whether it may hold nothing.
    kinds: dict[str, tuple[type, bool]] = {}
    for record in (Run, Sample):
        hints = typing.get_type_hints(record)
        for field in fields(record):
            hint = hints[field.name]
            options = typing.get_args(hint) or (hint,)
            kinds[field.name] = (options[0], len(options) > 1)
    return kinds | {"run_valid": (bool, False)}


_KINDS = _kinds()


def _check_columns(path: Path, schema: pa.Schema, rows: int) -> None:
    if missing := sorted(_KINDS.keys() - set(schema.names)):
        raise UsageError(
            f"{path} is not one of our campaigns: it has no column {', '.join(missing)}"
        )
    if len(set(schema.names)) != len(schema.names):
        raise UsageError(f"{path} is not one of our campaigns: a column is there twice")
    for name, (kind, _) in _KINDS.items():
        found = schema.field(name).type
        if pa.types.is_dictionary(found):
            found = found.value_type
        if not _IS[kind](found):
            raise UsageError(
                f"{path} is not one of our campaigns: its column {name} holds "
                f"{str(found)[:100]}, expected {kind.__name__}"
            )
    if rows > _MOST_ROWS:
        raise UsageError(f"{path} says that it has {rows} samples: over {_MOST_ROWS}")


def _is_text(kind: pa.DataType) -> bool:
    # A column of which nothing is known has no type.
    t = pa.types
    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_null(kind))


_IS = {str: _is_text, int: pa.types.is_integer, bool: pa.types.is_boolean}


def _check_values(path: Path, table: pa.Table) -> None:
    table.validate(full=True)
    for name, (_, optional) in _KINDS.items():
        if table.column(name).null_count and not optional:
            raise UsageError(f"{path} is not one of our campaigns: {name} has holes")
    for name, kind in CLOSED.items():
        known = {member.value for member in kind}
        if odd := set(table.column(name).unique().to_pylist()) - known:
            raise UsageError(
                f"{path} is not one of our campaigns: {name} is {sorted(odd)!r:.200}"
            )
