"""Joins samples with the facts of their runs, by numbers instead of texts.

The samples of each block are returned as they are read, with a code for each text. The
facts of runs are kept, once per run. After the last line it is known which runs are
valid; then samples become a table, which takes the facts of a run by the run's code.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.analysis.records.lines import Block, Rows, block_of
from harness.errors import RecordError
from harness.worker.measure import Count, Run, RunEnd, Sample, Superseded
from harness.worker.measure.parsing import FIELDS

Column = npt.NDArray[Any]

_OF_SAMPLE = tuple(field.name for field in fields(Sample))
_OF_RUN = tuple(f.name for f in fields(Run) if f.name not in _OF_SAMPLE)
_TYPES = {**FIELDS[Run], **FIELDS[Sample]}
# The run of these records must come before them.
_OF_A_RUN = (Sample, Count, RunEnd, Superseded)

TEXTS = frozenset(name for name, types in _TYPES.items() if str in types)
BOOLS = frozenset(n for n, types in _TYPES.items() if bool in types) | {"run_valid"}
NULLABLE = frozenset(name for name, types in _TYPES.items() if type(None) in types)
COLUMNS = (*_TYPES, "run_valid")
# Samples before they are joined: texts are codes.
SAMPLES = pa.schema(
    (name, pa.int32() if name in TEXTS else pa.bool_() if name in BOOLS else pa.int64())
    for name in _OF_SAMPLE
)


class Gathering:
    """Collects the records of a file, block by block; errors name ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begun: dict[str, int] = {}
        self._row: dict[str, int] = {}
        self._ended: dict[str, bool] = {}
        self._superseded: set[str] = set()
        self._words = {name: _Words() for name in TEXTS}
        # Start with an empty block, so that a file without runs has the columns too.
        none = block_of([]).rows[Run].columns
        self._facts = {name: [self._column(none, name)] for name in _OF_RUN}
        self._rows = 0

    def take(self, block: Block) -> pa.RecordBatch:
        """The samples of a block, for ``Joined`` to make a table of.

        Raises RecordError, with file and line, for the first line that is not a record
        or that comes before its run.
        """
        self._take_runs(block.rows[Run])
        self._check_order(block)
        if block.error is not None:
            raise block.error
        self._take_ends(block)
        samples = block.rows[Sample].columns
        return pa.RecordBatch.from_arrays(
            [pa.array(self._column(samples, name)) for name in _OF_SAMPLE],
            schema=SAMPLES,
        )

    def _take_runs(self, runs: Rows) -> None:
        names = runs.columns["run"].to_pylist()
        for name, number in zip(names, runs.numbers.tolist(), strict=True):
            # If a run occurs twice, its last record counts.
            self._row[name] = self._rows
            self._rows += 1
            self._begun.setdefault(name, number)
        for name in _OF_RUN:
            self._facts[name].append(self._column(runs.columns, name))

    def _column(self, table: pa.Table, name: str) -> Column:
        if name in TEXTS:
            return self._words[name].codes(table[name])
        found: Column = table[name].to_numpy()
        return found

    def _check_order(self, block: Block) -> None:
        early = [
            number
            for kind in _OF_A_RUN
            if (number := self._first_early(block.rows[kind])) is not None
        ]
        if early:
            number = min(early)
            where = f"{self._path}:{number}: its run does not come before it"
            raise RecordError(block.line(number), where)

    def _first_early(self, rows: Rows) -> int | None:
        runs = rows.columns["run"].combine_chunks().dictionary_encode()
        never = np.iinfo(np.int64).max
        begun = [self._begun.get(run, never) for run in runs.dictionary.to_pylist()]
        early = rows.numbers < np.array(begun, dtype=np.int64)[runs.indices.to_numpy()]
        return int(rows.numbers[early.argmax()]) if early.any() else None

    def _take_ends(self, block: Block) -> None:
        ends = block.rows[RunEnd].columns
        self._ended.update(
            zip(ends["run"].to_pylist(), ends["valid"].to_pylist(), strict=True)
        )
        self._superseded.update(block.rows[Superseded].columns["run"].to_pylist())

    def joined(self) -> "Joined":
        """The object that makes tables of samples; call it after the last block."""
        runs = self._words["run"].all
        rows = np.array([self._row[run] for run in runs], dtype=np.int64)
        valid = [self._ended.get(r, False) and r not in self._superseded for r in runs]
        facts = {"run_valid": np.array(valid, dtype=bool)}
        words, codes = {}, {}
        for name in _OF_RUN:
            fact = np.concatenate(self._facts[name])[rows]
            if name in TEXTS:
                words[name], renumbered = self._words[name].sorted(fact)
                fact = renumbered[fact]
            facts[name] = fact
        for name in TEXTS.intersection(_OF_SAMPLE):
            words[name], codes[name] = self._words[name].sorted()
        return Joined(facts, words, codes)


class Joined:
    """The facts of every run that has samples, indexed by the run's code.

    ``words`` has the sorted texts of each column; ``codes`` maps the codes of the
    samples' own texts to positions in them.
    """

    def __init__(
        self,
        facts: dict[str, Column],
        words: dict[str, pa.Array],
        codes: dict[str, Column],
    ) -> None:
        self._facts = facts
        self._words = words
        self._codes = codes

    def table(self, samples: pa.RecordBatch | pa.Table) -> pa.Table:
        """Samples with the facts of their runs; texts are dictionary-encoded."""
        runs = samples["run"].to_numpy()
        columns = {}
        for name in COLUMNS:
            if name in self._facts:
                column = self._facts[name][runs]
            elif name in self._codes:
                column = self._codes[name][samples[name].to_numpy()]
            else:
                columns[name] = samples[name]
                continue
            columns[name] = pa.array(column)
            if name in self._words:
                mask = column < 0 if name in NULLABLE else None
                columns[name] = pa.DictionaryArray.from_arrays(
                    pa.array(column, mask=mask), self._words[name]
                )
        return pa.table(columns)


class _Words:
    """Numbers texts in the order they appear; a missing text is -1."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    @property
    def all(self) -> list[str]:
        return list(self._codes)

    def codes(self, column: pa.ChunkedArray) -> Column:
        encoded = column.combine_chunks().dictionary_encode()
        known = [
            self._codes.setdefault(word, len(self._codes))
            for word in encoded.dictionary.to_pylist()
        ]
        at: Column = encoded.indices.fill_null(len(known)).to_numpy()
        coded: Column = np.array([*known, -1], dtype=np.int32)[at]
        return coded

    def sorted(self, used: Column | None = None) -> tuple[pa.Array, Column]:
        """The sorted words of the codes in ``used``, and each old code's new one."""
        words = self.all
        codes = range(len(words)) if used is None else np.unique(used[used >= 0])
        order = sorted(codes, key=words.__getitem__)
        least = np.min_scalar_type(-max(len(order), 1))
        # The code -1 of missing texts indexes the last entry, which stays -1.
        renumbered = np.full(len(words) + 1, -1, dtype=least)
        renumbered[order] = np.arange(len(order))
        return pa.array([words[code] for code in order], pa.string()), renumbered
