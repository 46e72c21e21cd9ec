"""Bytecode of what runs next to a kernel: compiled here once, and not in each guest.

No process of the host imports a worker, so nothing else would leave its bytecode
beside it; and a guest can write none. Compiling takes a guest of User-Mode Linux a
second, an emulated one three.
"""

import contextlib
import importlib.util
import marshal
import py_compile
from pathlib import Path

# A .pyc file: magic, flags, then size and time of its source, or a hash of it.
# https://peps.python.org/pep-0552/
_HEADER = 16
_UNCHECKED_HASH = (1).to_bytes(4, "little")


def compile_in_place(source: Path) -> Path:
    """Leave a module's bytecode where Python looks for it; nothing if it is there.

    The path of it, which is not there where the folder cannot be written to.
    """
    made = Path(importlib.util.cache_from_source(str(source)))
    if not _is_fresh(made, source):
        # Another user's folder: the guest then compiles, as Python would here.
        with contextlib.suppress(OSError):
            py_compile.compile(str(source), cfile=str(made), doraise=True)
    return made


def bytecode_of(source: Path) -> bytes:
    """A module's bytecode as a file that is taken as it is, whatever its source says.

    For archives, in which all files are of one time.
    """
    made = compile_in_place(source)
    if _is_fresh(made, source):
        return unchecked(made.read_bytes()[_HEADER:])
    return compiled(source.read_bytes(), str(source))


def compiled(source: bytes, path: str) -> bytes:
    """The bytecode file of a source that a guest has at a path.

    Raises SyntaxError or ValueError where the source is not of this Python.
    """
    return unchecked(marshal.dumps(compile(source, path, "exec", dont_inherit=True)))


def unchecked(code: bytes) -> bytes:
    """Marshalled code as a file that Python takes without a look at the source."""
    return importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + bytes(8) + code


def _is_fresh(made: Path, source: Path) -> bool:
    try:
        with open(made, "rb") as file:
            header = file.read(_HEADER)
    except OSError:
        return False
    status = source.stat()
    return header == b"".join(
        (
            importlib.util.MAGIC_NUMBER,
            bytes(4),
            (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little"),
            (status.st_size & 0xFFFFFFFF).to_bytes(4, "little"),
        )
    )
