"""Compiles the modules that run next to a kernel, once on the host.

No process on the host imports a worker, so Python would not write its bytecode there,
and a guest cannot write it. Without this module each guest would compile them: this
takes one second in User-Mode Linux and three seconds in an emulated guest.
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
    """Write a module's bytecode to the path where Python looks for it; return the path.

    Does nothing if it is up to date. If the folder cannot be written to, there is no
    file at the path.
    """
    made = Path(importlib.util.cache_from_source(str(source)))
    if not _is_fresh(made, source):
        # If the folder belongs to another user, the guest compiles the module.
        with contextlib.suppress(OSError):
            py_compile.compile(str(source), cfile=str(made), doraise=True)
    return made


def bytecode_of(source: Path) -> bytes:
    """A module's bytecode file for an archive; Python does not check its source.

    A check would fail, because all files in an archive have the same time.
    """
    made = compile_in_place(source)
    if _is_fresh(made, source):
        return unchecked(made.read_bytes()[_HEADER:])
    return compiled(source.read_bytes(), str(source))


def compiled(source: bytes, path: str) -> bytes:
    """The bytecode file of a source, which has the given path in the guest.

    Raises SyntaxError or ValueError if this Python cannot compile the source.
    """
    return unchecked(marshal.dumps(compile(source, path, "exec", dont_inherit=True)))


def unchecked(code: bytes) -> bytes:
    """A bytecode file for marshalled code; Python does not check its source."""
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
