"""Pieces of a table of samples, put together as one DataFrame.

Piece by piece into columns that have their size from the beginning: what a piece
takes is free for the next, and the memory that is new is that of the frame.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.analysis.gathering import BOOLS, COLUMNS, TEXTS, Column


def frame_of(
    pieces: Iterable[pa.Table], rows: int, columns: Iterable[str] = COLUMNS
) -> pd.DataFrame:
    """A frame of ``rows`` samples, whose texts are categories, sorted.

    In the pieces they are dictionaries. Raises ValueError where the pieces are
    not of as many rows, or have holes where there may be none.
    """
    wanted = {*columns}
    names = [name for name in COLUMNS if name in wanted]
    texts: dict[str, list[tuple[list[str], Column]]] = {
        name: [] for name in names if name in TEXTS
    }
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
                texts[name].append(_codes_of(column))
            else:
                whole[name][at:end] = column.to_numpy(zero_copy_only=False)
        at = end
    if at != rows:
        raise ValueError(f"it has {at} of the {rows} rows it claims")
    return pd.DataFrame(
        {
            name: _categorical(texts[name]) if name in texts else whole[name]
            for name in names
        },
        copy=False,
    )


def _codes_of(column: pa.DictionaryArray) -> tuple[list[str], Column]:
    words = column.dictionary.to_pylist()
    codes = column.indices
    if column.null_count:
        codes = codes.fill_null(-1)
    return words, codes.to_numpy().astype(_least(len(words)))


def _categorical(pieces: list[tuple[list[str], Column]]) -> pd.Categorical:
    words = sorted({word for words, _ in pieces for word in words})
    place = {word: at for at, word in enumerate(words)}
    renumbered = []
    for mine, codes in pieces:
        # What is not there has the code -1, which is the last place and stays.
        places = np.array([*(place[word] for word in mine), -1], _least(len(words)))
        renumbered.append(places[codes])
    found = np.concatenate(renumbered) if pieces else np.array([], dtype=np.int8)
    of_words = pd.CategoricalDtype(pd.Index(words, dtype="str"))
    return pd.Categorical.from_codes(found, dtype=of_words, validate=False)


def _least(count: int) -> np.dtype[np.signedinteger]:
    return np.min_scalar_type(-max(count, 1))
