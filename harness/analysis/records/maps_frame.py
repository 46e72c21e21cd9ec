"""A whole /proc/pid/maps as a DataFrame, one row per line."""

import numpy as np
import pandas as pd

from harness.maps import parse_columns


def maps_frame(text: bytes) -> pd.DataFrame:
    """The lines of a text, in order; the columns are the fields of ``MapsEntry``.

    start, end (exclusive), offset: bytes, uint64. perms: category of str. major,
    minor: uint32. inode: uint64. pathname: bytes, empty if there is none.
    anon_name: bytes, or None if the line has no name.

    Raises MapsFormatError as ``parse_maps`` does.
    """
    columns = parse_columns(text)
    which = np.frombuffer(columns.which, dtype=np.uint32)
    headers = columns.headers
    perms = sorted({header.perms for header in headers})
    kinds = pd.CategoricalDtype(perms)
    code_of = {each: code for code, each in enumerate(perms)}
    codes = np.array([code_of[header.perms] for header in headers], dtype=np.int8)
    # In parsed lines, only anonymous names begin like this.
    anon_names = [
        path[path.index(b":") + 1 : -1] if path[:5] == b"[anon" else None
        for path in columns.pathnames
    ]

    def numbers(field: str, dtype: type[np.uint32 | np.uint64]) -> np.ndarray:
        of_each = [getattr(header, field) for header in headers]
        return np.array(of_each, dtype=dtype)[which]

    return pd.DataFrame(
        {
            "start": np.array(columns.starts),
            "end": np.array(columns.ends),
            "perms": pd.Categorical.from_codes(codes[which], dtype=kinds),
            "offset": numbers("offset", np.uint64),
            "major": numbers("major", np.uint32),
            "minor": numbers("minor", np.uint32),
            "inode": numbers("inode", np.uint64),
            "pathname": np.array(columns.pathnames, dtype=object),
            "anon_name": np.array(anon_names, dtype=object),
        }
    )
