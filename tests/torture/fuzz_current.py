"""The input that a worker is trying, where whoever started it can read it."""

import mmap
from pathlib import Path

# An input is at most so long.
MOST_BYTES = 1 << 16
# How many inputs were tried, the length of the last, and it.
_LENGTH_AT, _INPUT_AT = 8, 16
_BYTES = _INPUT_AT + MOST_BYTES


class Current:
    """The input that is being tried, in a file that outlives us."""

    def __init__(self, path: Path) -> None:
        with open(path, "w+b") as file:
            file.truncate(_BYTES)
            self._map = mmap.mmap(file.fileno(), _BYTES)
        self._count = 0

    def begin(self, data: bytes) -> None:
        """Write down an input that is about to be tried."""
        self._count += 1
        for at, number in ((0, self._count), (_LENGTH_AT, len(data))):
            self._map[at : at + 8] = number.to_bytes(8, "little")
        self._map[_INPUT_AT : _INPUT_AT + len(data)] = data


def read_current(path: Path) -> tuple[int, bytes]:
    """How many inputs a worker tried, and its last."""
    content = path.read_bytes() if path.exists() else bytes(_BYTES)
    length = int.from_bytes(content[_LENGTH_AT:_INPUT_AT], "little")
    return (
        int.from_bytes(content[0:_LENGTH_AT], "little"),
        content[_INPUT_AT : _INPUT_AT + length],
    )
