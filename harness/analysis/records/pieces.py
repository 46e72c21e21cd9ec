"""Joins the pieces of a table of samples into one DataFrame.

The columns have their final size from the start, and each piece is copied into them.
So memory holds the frame and one piece, never all pieces.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.analysis.records.gathering import BOOLS, COLUMNS, TEXTS, Column


def frame_of(
    pieces: Iterable[pa.Table], rows: int, columns: Iterable[str] = COLUMNS
) -> pd.DataFrame:
    """A frame of ``rows`` samples, with texts as sorted categories.

    In the pieces, texts are dictionary-encoded. Raises ValueError if the pieces do not
    have ``rows`` rows together, or lack values that must be there.
    """
    wanted = {*columns}
    names = [name for name in COLUMNS if name in wanted]
    texts = {name: _Texts(rows) for name in names if name in TEXTS}
    whole: dict[str, Column] = {
        name: np.empty(rows, dtype=bool if name in BOOLS else np.int64)
        for name in names
        if name not in TEXTS
    }
    at = 0
    for piece in pieces:
        unified = piece.unify_dictionaries()
        end = at + len(piece)
        if end > rows:
            raise ValueError(f"it has more than the {rows} rows it claims")
        for name in names:
            column = unified[name].combine_chunks()
            if name in texts:
                texts[name].put(slice(at, end), column)
            else:
                whole[name][at:end] = column.to_numpy(zero_copy_only=False)
        at = end
    if at != rows:
        raise ValueError(f"it has {at} of the {rows} rows it claims")
    return pd.DataFrame(
        {
            name: texts[name].categorical() if name in texts else whole[name]
            for name in names
        },
        copy=False,
    )


class _Texts:
    """A growing column of texts: codes of words, in the order they appear."""

    def __init__(self, rows: int) -> None:
        self._place: dict[str, int] = {}
        self._codes: Column = np.empty(rows, dtype=np.int8)

    def put(self, where: slice, column: pa.DictionaryArray) -> None:
        """Set some rows; a missing text has the code -1."""
        words = column.dictionary.to_pylist()
        places = [self._place.setdefault(word, len(self._place)) for word in words]
        least = _least(len(self._place))
        if self._codes.dtype != least:
            self._codes = self._codes.astype(least)
        codes = column.indices
        if column.null_count:
            codes = codes.fill_null(-1)
        # One pass; the index -1 takes the last entry.
        np.take(
            np.array([*places, -1], least), codes.to_numpy(),
            out=self._codes[where], mode="wrap",
        )  # fmt: skip

    def categorical(self) -> pd.Categorical:
        """The column with its words sorted."""
        words = sorted(self._place)
        codes = self._codes
        if words != list(self._place):
            place = {word: at for at, word in enumerate(words)}
            codes = np.array([*(place[w] for w in self._place), -1], codes.dtype)[codes]
        of_words = pd.CategoricalDtype(pd.Index(words, dtype="str"))
        return pd.Categorical.from_codes(codes, dtype=of_words, validate=False)


def _least(count: int) -> np.dtype[np.signedinteger]:
    return np.min_scalar_type(-max(count, 1))
