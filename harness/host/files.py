"""Reads files that may be anything, such as a pipe or a device that never ends.

Memory is bounded: a file of lines is read in blocks, with the longest line limited,
and a small file has a maximum size.
"""

from collections.abc import Iterator
from pathlib import Path

BLOCK = 4 << 20
# Files that people write, or our state files, have a few hundred bytes.
_SMALL = 1 << 20


def chunks_of(
    path: Path, *, longest: int, block: int = BLOCK, unended: bool = False
) -> Iterator[bytes]:
    """Yield chunks of whole lines with their newlines.

    A chunk has up to ``block`` bytes, plus the rest of its last line. A full disk can
    leave a last line without a newline: it is left out or, if ``unended``, yielded
    with a newline. If a line is longer than ``longest`` bytes, the last chunk has more
    than ``longest`` bytes of it; the caller must report that. Raises OSError.
    """
    with open(path, "rb", buffering=0) as file:
        # Pieces, so that a line of hundreds of blocks is joined only once.
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
    """The text of a small file. Raises OSError; ValueError if it is too large."""
    with open(path, "rb") as file:
        content = file.read(_SMALL + 1)
    if len(content) > _SMALL:
        raise ValueError(f"it has more than {_SMALL} bytes")
    return content.decode()
