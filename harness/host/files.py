"""Files that may be anything: a pipe, or a device that never ends.

Of a file of lines a piece is in memory, or the longest line; a small one is small.
"""

from collections.abc import Iterator
from pathlib import Path

BLOCK = 4 << 20
# What a person writes, or a command of ours about itself, has a few hundred.
_SMALL = 1 << 20


def chunks_of(
    path: Path, *, longest: int, block: int = BLOCK, unended: bool = False
) -> Iterator[bytes]:
    """Chunks of whole lines with their newlines, ``block`` bytes or a line more.

    A last line without its newline, as a full disk leaves it, is left out, or with
    ``unended`` given one. Where a line is longer than ``longest`` bytes a chunk with
    more than that of it is the last: who reads it tells. Raises OSError.
    """
    with open(path, "rb", buffering=0) as file:
        # In pieces: a line of hundreds of blocks is put together once.
        begun: list[bytes] = []
        while more := file.read(block):
            cut = more.rfind(b"\n") + 1
            if cut:
                yield b"".join([*begun, more[:cut]])
                begun = []
            begun.append(more[cut:])
            if sum(map(len, begun)) > longest:
                yield b"".join([*begun, b"\n"])
                return
        if any(begun) and unended:
            yield b"".join([*begun, b"\n"])


def lines_of(path: Path, *, longest: int, unended: bool = False) -> Iterator[bytes]:
    """The same, as lines without their newlines."""
    for chunk in chunks_of(path, longest=longest, unended=unended):
        yield from chunk.split(b"\n")[:-1]


def read_small(path: Path) -> str:
    """All of a file that is small. Raises OSError; ValueError for any other."""
    with open(path, "rb") as file:
        content = file.read(_SMALL + 1)
    if len(content) > _SMALL:
        raise ValueError(f"it has more than {_SMALL} B")
    return content.decode()
