"""Lines of records as Arrow columns, block by block, as strict as ``parse_record``.

Arrow's JSON reader is fast, but accepts many lines that are not records. So it reads
only lines in the exact form that ``render_record`` writes: each field in its place, no
spaces, no number that may exceed 64 bits. One regular expression per kind of record
recognises them. Every other line goes to ``parse_record``, which parses it or raises
the error.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from harness.analysis.records.ahead import results_of
from harness.errors import RecordError
from harness.host.files import BLOCK, chunks_of
from harness.worker.measure import Record, parse_record
from harness.worker.measure.parsing import CLOSED, FIELDS
from harness.worker.measure.records import KINDS, LONGEST, SCHEMA

# The number of blocks that are read in advance, each in a thread.
_AHEAD = min(os.cpu_count() or 1, 4)

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Records of one kind, in order: their line numbers, and a column per field."""

    numbers: Numbers
    columns: pa.Table


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file, and their records by kind, up to the first ``error``.

    ``lines`` keep their newlines; the first has the line number ``first``.
    """

    first: int
    lines: pa.Array
    rows: dict[type[Record], Rows]
    error: RecordError | None

    def line(self, number: int) -> bytes:
        """The line with that number, without its newline."""
        return _text(self.lines[number - self.first])


def blocks_of(path: Path) -> Iterator[Block]:
    """A file of records, in blocks of whole lines of about ``BLOCK`` bytes.

    An incomplete last line, which a full disk can leave, is ignored.
    """
    pool = ThreadPoolExecutor(_AHEAD)
    try:
        yield from results_of(pool, _calls(path), ahead=_AHEAD)
    finally:
        # Do not wait: after an error, one of these threads may garbage-collect this
        # generator, and a thread cannot wait for itself.
        pool.shutdown(wait=False, cancel_futures=True)


def _calls(path: Path) -> Iterator[Callable[[], Block]]:
    first = 1
    for chunk in chunks_of(path, longest=LONGEST, block=BLOCK):
        yield partial(_block, path, first, chunk)
        first += chunk.count(b"\n")


def block_of(records: Iterable[Record]) -> Block:
    """Records in memory as a block; their line numbers are their positions."""
    numbered = list(enumerate(records, 1))
    return Block(1, pa.array([], pa.binary()), _with(_nothing(), numbered), None)


@dataclass(frozen=True, slots=True)
class _Form:
    """The written form of a kind's lines, and their Arrow columns."""

    prefix: bytes
    pattern: str
    schema: pa.Schema


def _form_of(name: str, kind: type[Record]) -> _Form:
    parts = [f'"kind":"{name}"']
    columns = []
    for field, types in FIELDS[kind].items():
        if field == "schema":
            # Runs of older schemas are few: parse_record reads them.
            form = str(SCHEMA)
        elif field in CLOSED:
            form = f'"(?:{"|".join(sorted(CLOSED[field]))})"'
        else:
            form = "|".join(_VALUES[each][0] for each in types)
        parts.append(f'"{field}":(?:{form})')
        columns.append((field, _VALUES[types[0]][1]))
    return _Form(
        prefix=f'{{"kind":"{name}",'.encode(),
        pattern=r"^\{" + ",".join(parts) + r"\}\n$",
        schema=pa.schema(columns),
    )


# ASCII text, with the escapes that stand for whole characters.
_TEXT = (
    r'"(?:[ !#-\[\]-~]|\\["\\/bfnrt]|'
    r'\\u(?:[0-9a-ce-f][0-9a-f]{3}|d[0-7][0-9a-f]{2}))*"'
)
_VALUES: dict[object, tuple[str, pa.DataType]] = {
    # 18 digits always fit into 64 bits.
    int: (r"0|-?[1-9][0-9]{0,17}", pa.int64()),
    bool: ("true|false", pa.bool_()),
    str: (_TEXT, pa.string()),
    type(None): ("null", pa.null()),
}
_FORMS = {kind: _form_of(name, kind) for name, kind in KINDS.items()}


def _block(path: Path, first: int, chunk: bytes) -> Block:
    ends = np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == ord("\n")) + 1
    starts = np.concatenate([[0], ends]).astype(np.int32)
    lines = pa.Array.from_buffers(
        pa.binary(), len(ends), [None, pa.py_buffer(starts), pa.py_buffer(chunk)]
    )
    rows = {}
    fits = np.diff(starts) <= LONGEST
    for kind, form in _FORMS.items():
        at = np.flatnonzero(_bools(pc.starts_with(lines, form.prefix)) & fits)
        some = lines.take(at)
        well = _bools(pc.match_substring_regex(some, form.pattern))
        if not well.all():
            at, some = at[well], some.filter(pa.array(well))
        rows[kind] = Rows(at + first, _read(some, form.schema))
    unread = np.ones(len(lines), dtype=bool)
    for found in rows.values():
        unread[found.numbers - first] = False
    parsed: list[tuple[int, Record]] = []
    for index in np.flatnonzero(unread).tolist():
        line = _text(lines[index])
        try:
            parsed.append((first + index, parse_record(line)))
        except RecordError as error:
            before = _block(path, first, chunk[: starts[index]])
            where = f"{path}:{first + index}: {error.why}"
            return Block(first, lines, before.rows, RecordError(line, where))
    return Block(first, lines, _with(rows, parsed), None)


def _read(lines: pa.Array, schema: pa.Schema) -> pa.Table:
    if not len(lines):
        return schema.empty_table()
    text = lines.buffers()[2]
    return pyarrow.json.read_json(
        pa.BufferReader(text),
        # One piece: cut pieces would have to be joined again.
        pyarrow.json.ReadOptions(use_threads=False, block_size=text.size + 1),
        pyarrow.json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="ignore"
        ),
    )


def _with(
    rows: dict[type[Record], Rows], parsed: list[tuple[int, Record]]
) -> dict[type[Record], Rows]:
    """The rows with parsed records inserted, in the order of their lines."""
    found = dict(rows)
    for kind in {type(record) for _, record in parsed}:
        mine = [(number, record) for number, record in parsed if type(record) is kind]
        schema = _FORMS[kind].schema
        numbers = np.array([number for number, _ in mine], dtype=np.int64)
        table = pa.Table.from_pylist([asdict(record) for _, record in mine], schema)
        if len(rows[kind].numbers):
            numbers = np.concatenate([rows[kind].numbers, numbers])
            table = pa.concat_tables([rows[kind].columns, table])
            order = np.argsort(numbers)
            numbers, table = numbers[order], table.take(order)
        found[kind] = Rows(numbers, table)
    return found


def _nothing() -> dict[type[Record], Rows]:
    none = np.array([], dtype=np.int64)
    return {k: Rows(none, form.schema.empty_table()) for k, form in _FORMS.items()}


def _bools(array: pa.Array) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = array.to_numpy(zero_copy_only=False)
    return found


def _text(line: pa.Scalar) -> bytes:
    text: bytes = line.as_py()
    return text[:-1]
