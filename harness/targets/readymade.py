"""Replaces dataclasses and named tuples by plain classes, on the host.

A worker would need more time to import ``dataclasses`` (with inspect, ast, dis and
tokenize) and ``typing`` and to generate each class than for everything else before
its first record. So this module rewrites the syntax tree of a module. A class with
``@dataclass(frozen=True, slots=True)`` or the base ``NamedTuple`` is written out:

    @dataclass(frozen=True, slots=True)      class Cell(Value):
    class Cell:                                  __slots__ = ("store", "vmas")
        store: Store                             __match_args__ = ("store", "vmas")
        vmas: int = 1                            def __init__(self, store, vmas=1):
                                                     ...

The methods that are the same in all of them (repr, comparison, hash, refusing
changes) are in ``harness.lean.values``. Classes of other kinds stay as they are.
Annotations and docstrings are removed: nothing that runs next to a kernel reads them.
"""

import ast
from collections.abc import Iterator

_VALUES = "harness.lean.values"
# Functions of dataclasses that harness.lean.values also has.
_TWINS = frozenset({"asdict", "replace"})
_SLOTTED = {"frozen": True, "slots": True}


def made_ready(module: ast.Module) -> ast.Module:
    """The same module without annotations and docstrings, its classes written out."""
    made = _Maker().visit(module)
    assert isinstance(made, ast.Module)
    return ast.fix_missing_locations(made)


class _Maker(ast.NodeTransformer):
    def visit_Module(self, node: ast.Module) -> ast.Module:
        classes = [each for each in ast.walk(node) if isinstance(each, ast.ClassDef)]
        if any(map(_is_value, classes)) or any(map(_is_named_tuple, classes)):
            bases = [ast.alias(name=name) for name in ("NamedValues", "Value")]
            node.body.insert(
                _first_statement(node),
                ast.ImportFrom(module=_VALUES, names=bases, level=0),
            )
        self.generic_visit(node)
        node.body = _without_docstring(node.body)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        if node.module != "dataclasses":
            return [node]
        twins = [alias for alias in node.names if alias.name in _TWINS]
        others = [alias for alias in node.names if alias.name not in _TWINS]
        return [
            ast.ImportFrom(module=module, names=names, level=0)
            for module, names in ((_VALUES, twins), (node.module, others))
            if names
        ]

    def visit_If(self, node: ast.If) -> ast.If | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        arguments = node.args
        for each in (
            *arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs,
            *filter(None, (arguments.vararg, arguments.kwarg)),
        ):  # fmt: skip
            each.annotation = None
        node.returns = None
        self.generic_visit(node)
        node.body = _without_docstring(node.body)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        if node.value is None:
            return None
        self.generic_visit(node)
        return ast.Assign(targets=[node.target], value=node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        if _is_value(node):
            made = _value(node)
        elif _is_named_tuple(node):
            made = _named_values(node)
        elif _is_dataclass(node):
            # Another kind of dataclass (no worker has one): its annotations must stay,
            # because they are its fields.
            return node
        else:
            made = node
        self.generic_visit(made)
        made.body = _without_docstring(made.body)
        return made


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.dump(each) for each in node.decorator_list)


def _is_value(node: ast.ClassDef) -> bool:
    if len(node.decorator_list) != 1 or node.bases or node.keywords:
        return False
    (decorator,) = node.decorator_list
    if not (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id == "dataclass"
        and not decorator.args
    ):
        return False
    options = {
        each.arg: isinstance(each.value, ast.Constant) and each.value.value
        for each in decorator.keywords
    }
    options.pop("kw_only", None)
    plain = all(
        not (isinstance(f.value, ast.Call) and "field" in ast.dump(f.value.func))
        for f in _fields_of(node)
    )
    return options == _SLOTTED and plain


def _is_named_tuple(node: ast.ClassDef) -> bool:
    return [ast.dump(each) for each in node.bases] == [
        ast.dump(ast.Name(id="NamedTuple", ctx=ast.Load()))
    ]


def _fields_of(node: ast.ClassDef) -> list[ast.AnnAssign]:
    return [each for each in node.body if isinstance(each, ast.AnnAssign)]


def _names(fields: list[ast.AnnAssign]) -> Iterator[str]:
    for each in fields:
        assert isinstance(each.target, ast.Name)
        yield each.target.id


def _value(node: ast.ClassDef) -> ast.ClassDef:
    (decorator,) = node.decorator_list
    assert isinstance(decorator, ast.Call)
    keywords_only = any(each.arg == "kw_only" for each in decorator.keywords)
    fields = _fields_of(node)
    names = list(_names(fields))
    has_more = any(
        isinstance(each, ast.FunctionDef) and each.name == "__post_init__"
        for each in node.body
    )
    lines = [f"_set(self, {name!r}, {name})" for name in names]
    lines += ["self.__post_init__()"] if has_more else []
    made = _parsed(
        f"__slots__ = {tuple(names)!r}",
        f"__match_args__ = {() if keywords_only else tuple(names)!r}",
        "def __init__(self, _set=object.__setattr__): "
        + ("; ".join(lines) or "pass"),
    )  # fmt: skip
    init = made[-1]
    assert isinstance(init, ast.FunctionDef)
    _give_parameters(init, fields, keywords_only=keywords_only)
    return _class(node, "Value", made)


def _give_parameters(
    init: ast.FunctionDef, fields: list[ast.AnnAssign], *, keywords_only: bool
) -> None:
    # Add the fields as parameters. The parameter that is already there (_set) becomes
    # a keyword at the end: callers never pass it.
    (hidden,), (its_default,) = init.args.args[1:], init.args.defaults
    init.args.args = init.args.args[:1]
    init.args.defaults = []
    for name, each in zip(_names(fields), fields, strict=True):
        parameter = ast.arg(arg=name)
        if keywords_only:
            init.args.kwonlyargs.append(parameter)
            init.args.kw_defaults.append(each.value)
        else:
            init.args.args.append(parameter)
            if each.value is not None:
                init.args.defaults.append(each.value)
    init.args.kwonlyargs.append(hidden)
    init.args.kw_defaults.append(its_default)


def _named_values(node: ast.ClassDef) -> ast.ClassDef:
    fields = _fields_of(node)
    names = list(_names(fields))
    made = _parsed(
        "__slots__ = ()",
        f"_fields = __match_args__ = {tuple(names)!r}",
        f"def __new__(cls): return tuple.__new__(cls, ({', '.join(names)},))",
        *(f"{name} = NamedValues.at({at})" for at, name in enumerate(names)),
    )
    new = made[2]
    assert isinstance(new, ast.FunctionDef)
    new.args.args += [ast.arg(arg=name) for name in names]
    new.args.defaults = [each.value for each in fields if each.value is not None]
    return _class(node, "NamedValues", made)


def _class(node: ast.ClassDef, base: str, made: list[ast.stmt]) -> ast.ClassDef:
    node.decorator_list = []
    node.bases = [ast.Name(id=base, ctx=ast.Load())]
    others = [each for each in node.body if not isinstance(each, ast.AnnAssign)]
    node.body = made + _without_docstring(others)
    return node


def _parsed(*lines: str) -> list[ast.stmt]:
    return ast.parse("\n".join(lines)).body


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        body = body[1:]
    return body or [ast.Pass()]


def _first_statement(node: ast.Module) -> int:
    return 1 if node.body and isinstance(node.body[0], ast.Expr) else 0
