"""Makes a smaller root for a worker's guest, with the third that it reads.

An emulated guest takes as long to unpack the whole root as to start Python and the
worker. The modules to keep are not listed by hand: the imports are followed through
the sources of the standard library in the root.
"""

import ast
import re
from collections.abc import Iterable, Iterator

from harness.targets.cpio import raw_members

# Raised when the same modules would give another part of the root.
PART_FORMAT = 1

# The modules that an interpreter needs to start, and to show its errors.
_INTERPRETERS_OWN = (
    "codecs", "encodings", "encodings.aliases", "encodings.ascii",
    "encodings.latin_1", "encodings.utf_8", "io", "os", "site", "traceback",
    "zipimport",
)  # fmt: skip
# The libraries that python3 and _ctypes are linked with.
_LIBRARY = re.compile(r".*/(ld-linux|lib(c|m|z|dl|pthread|util|expat|ffi)[-.])[^/]*")
_PYTHON = re.compile(r"usr/bin/python3[.\d]*")
_STANDARD = re.compile(r"usr/lib/python3\.\d+/(?P<inside>.*)")
_SOURCE = re.compile(r"(?P<name>[^.]+?)(/__init__)?\.py")
_BYTECODE = re.compile(r"(?P<folder>.*/|)__pycache__/(?P<name>[^.]+)\.[^/]*\.pyc")
_EXTENSION = re.compile(r"lib-dynload/(?P<name>[^.]+)\.[^/]*\.so")


def part_for(modules: Iterable[str], root: bytes) -> bytes:
    """The part of a root (an archive) that these modules of its Python need.

    Returns the whole root if no source of the standard library is found in it.
    """
    members = list(raw_members(root))
    sources: dict[str, bytes] = {}
    for path, _, content in members:
        if (inside := _STANDARD.fullmatch(path)) and (
            match := _SOURCE.fullmatch(inside["inside"])
        ):
            sources[_dotted(match["name"])] = content
    if not sources:
        return root
    needed = _needed([*modules, *_INTERPRETERS_OWN], sources)
    kept = [raw for path, raw, content in members if _is_kept(path, content, needed)]
    return b"".join(kept)


def _is_kept(path: str, content: bytes, needed: set[str]) -> bool:
    standard = _STANDARD.fullmatch(path)
    if standard is None:
        # Folders and links have little or no content.
        small = len(content) < 256
        return small or bool(_PYTHON.fullmatch(path) or _LIBRARY.fullmatch(path))
    inside = standard["inside"]
    if match := _SOURCE.fullmatch(inside) or _EXTENSION.fullmatch(inside):
        return _dotted(match["name"]) in needed
    if match := _BYTECODE.fullmatch(inside):
        name = match["folder"] + match["name"]
        return _dotted(name.removesuffix("/__init__")) in needed
    return not content


def _needed(modules: Iterable[str], sources: dict[str, bytes]) -> set[str]:
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [name.rpartition(".")[0]] if "." in name else []
            waiting += _imported(sources.get(name, b""), name)
    return found


def _imported(source: bytes, name: str) -> Iterator[str]:
    # The modules that a module imports at its own import, so not inside its functions.
    package = name.rpartition(".")[0] or name
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = f"{package}.{module}".rstrip(".")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        waiting += ast.iter_child_nodes(node)


def _dotted(path: str) -> str:
    return path.replace("/", ".")
