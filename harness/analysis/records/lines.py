"""Lines of records as Arrow columns, block by block, as strict as ``parse_record``.

A line that is just as ``render_record`` writes it (each field in its place, no
space, no number that 64 bits may not hold) can be read in one way only. One
regular expression a kind knows such lines, and Arrow's JSON reader, which alone
would take much that is no record, may read them. Any other line goes to
``parse_record``: it is a record all the same, or the error.
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

# How many blocks are read before they are asked for, each in a thread.
_AHEAD = min(os.cpu_count() or 1, 4)

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Records of one kind in their order: line numbers, and a column a field."""

    numbers: Numbers
    columns: pa.Table


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines: the records before the first ``error``, or all, by kind.

    ``lines`` are theirs, with newlines; the first is number ``first`` of the file.
    """

    first: int
    lines: pa.Array
    rows: dict[type[Record], Rows]
    error: RecordError | None

    def line(self, number: int) -> bytes:
        """The line of that number, as it stands in the file without its newline."""
        return _text(self.lines[number - self.first])


def blocks_of(path: Path) -> Iterator[Block]:
    """A file of records in blocks of whole lines, ``BLOCK`` bytes or a line more.

    A last line without its newline, as a full disk leaves it, is left out.
    """
    pool = ThreadPoolExecutor(_AHEAD)
    try:
        yield from results_of(pool, _calls(path), ahead=_AHEAD)
    finally:
        # Not waited for: what is left behind by an error may be collected by one
        # of these threads, which cannot wait for itself.
        pool.shutdown(wait=False, cancel_futures=True)


def _calls(path: Path) -> Iterator[Callable[[], Block]]:
    first = 1
    for chunk in chunks_of(path, longest=LONGEST, block=BLOCK):
        yield partial(_block, path, first, chunk)
        first += chunk.count(b"\n")


def block_of(records: Iterable[Record]) -> Block:
    """Records that are in memory, as a block: each has the number of its place."""
    numbered = list(enumerate(records, 1))
    return Block(1, pa.array([], pa.binary()), _with(_nothing(), numbered), None)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a kind's lines look as they are written, and as Arrow columns."""

    prefix: bytes
    pattern: str
    schema: pa.Schema


def _form_of(name: str, kind: type[Record]) -> _Form:
    parts = [f'"kind":"{name}"']
    columns = []
    for field, types in FIELDS[kind].items():
        if field == "schema":
            # Runs of older ones are few, and are left to parse_record.
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


# Text in ASCII, with those escapes that are whole characters.
_TEXT = (
    r'"(?:[ !#-\[\]-~]|\\["\\/bfnrt]|'
    r'\\u(?:[0-9a-ce-f][0-9a-f]{3}|d[0-7][0-9a-f]{2}))*"'
)
_VALUES: dict[object, tuple[str, pa.DataType]] = {
    # 18 digits always fit 64 bits.
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
    odd = np.ones(len(lines), dtype=bool)
    for found in rows.values():
        odd[found.numbers - first] = False
    parsed: list[tuple[int, Record]] = []
    for index in np.flatnonzero(odd).tolist():
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
        # In one piece: what is cut has to be put together again.
        pyarrow.json.ReadOptions(use_threads=False, block_size=text.size + 1),
        pyarrow.json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="ignore"
        ),
    )


def _with(
    rows: dict[type[Record], Rows], parsed: list[tuple[int, Record]]
) -> dict[type[Record], Rows]:
    """The rows with others among them, all in the order of their lines."""
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
