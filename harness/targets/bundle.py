"""Packs the worker and the modules of ours that it imports into one bytecode file.

An emulated guest spends a millisecond on each module that it finds, reads and runs,
and a worker does not need most of what a module runs at import. So the host prepares
the modules:

* Classes are written out (``readymade``).
* A name that a room's ``__init__`` re-exports is imported from the module that
  defines it, so that one name does not run the whole room. Only the constants of an
  ``__init__`` are kept.
* Imports that only annotations used are removed.

The sources do not change. A guest whose Python needs other bytecode imports the
sources in the usual way.
"""

import ast
import importlib.util
import marshal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.host.paths import package_dir
from harness.targets.readymade import made_ready

_ROOT = "harness"


@dataclass(frozen=True, slots=True)
class Bundle:
    """``packed`` is MAGIC_NUMBER, then a marshalled dictionary: the name of each
    module, whether it is a package, and its marshalled code.

    ``standard`` has the modules that they import from the standard library, sorted.
    """

    packed: bytes
    standard: tuple[str, ...]


def bundle_of(module: str, *, beside: tuple[Path, ...] = ()) -> Bundle:
    """A module and the modules of ours that it imports.

    ``beside`` has scripts that belong to no package and are packed too.
    """
    return _bundle_of(module, beside, _stamp())


@cache
def _bundle_of(
    module: str, beside: tuple[Path, ...], stamp: tuple[tuple[Path, int, int], ...]
) -> Bundle:
    found: dict[str, tuple[bool, bytes]] = {}
    standard: set[str] = set()
    scripts = {path.stem: path for path in beside}
    waiting = [module, *scripts]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = scripts.get(name) or _path_of(name)
        tree = made_ready(ast.parse(path.read_bytes()))
        if path.name == "__init__.py":
            tree.body = list(filter(_is_constant, tree.body))
        _look_where_defined(tree)
        _drop_unused(tree)
        # A relative path, which is the same on every machine: then a guest's heap is
        # the same too.
        code = compile(tree, f"{name.replace('.', '/')}.py", "exec")
        found[name] = path.name == "__init__.py", marshal.dumps(code)
        waiting += sorted(filter(_is_ours, _needed(tree)))
        standard |= {each for each in _needed(tree) if not _is_ours(each)}
        room = name.rpartition(".")[0]
        waiting += [room] if room else []
    packed = importlib.util.MAGIC_NUMBER + marshal.dumps(found)
    return Bundle(packed, tuple(sorted(standard)))


def _stamp() -> tuple[tuple[Path, int, int], ...]:
    # Differs if a source has changed while this process runs.
    return tuple(
        (path, path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(package_dir().rglob("*.py"))
    )


def _path_of(name: str) -> Path:
    path = package_dir().parent.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_constant(statement: ast.stmt) -> bool:
    # Whether a statement of an ``__init__`` defines a constant.
    return isinstance(statement, ast.Assign) and isinstance(
        statement.value, ast.Constant
    )


def _look_where_defined(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                body[:] = [made for each in body for made in _from_origins(each)]


def _from_origins(statement: ast.stmt) -> Iterator[ast.stmt]:
    if not (isinstance(statement, ast.ImportFrom) and _is_ours(statement.module)):
        yield statement
        return
    for alias in statement.names:
        origin = _origin(str(statement.module), alias.name)
        made = ast.ImportFrom(module=origin, names=[alias], level=0)
        yield ast.copy_location(made, statement)


def _origin(module: str, name: str) -> str:
    # The module that defines ``name``, which ``module`` defines or re-exports.
    path = _path_of(module)
    if path.name == "__init__.py" and not _path_of(f"{module}.{name}").exists():
        for each in ast.parse(path.read_bytes()).body:
            if isinstance(each, ast.ImportFrom):
                for alias in each.names:
                    if (alias.asname or alias.name) == name:
                        return _origin(str(each.module), alias.name)
    return module


def _drop_unused(tree: ast.Module) -> None:
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    kept: list[ast.stmt] = []
    for each in tree.body:
        if isinstance(each, ast.Import | ast.ImportFrom):
            each.names = [a for a in each.names if _bound(a) in used]
            if not each.names:
                continue
        kept.append(each)
    tree.body = kept


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _needed(tree: ast.Module) -> Iterator[str]:
    # The modules that a module imports, at its own import or later in a function.
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            yield module
            for alias in node.names:
                if _path_of(f"{module}.{alias.name}").exists():
                    yield f"{module}.{alias.name}"


def _is_ours(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == _ROOT
