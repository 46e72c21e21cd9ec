"""Classes that are written out behave as those that are generated."""

import ast

import pytest

from harness.targets.readymade import made_ready

SOURCE = '''
"""A module of values."""

from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from nowhere import Nothing


class Kind(Enum):
    """One or the other."""

    ONE = 1


@dataclass(frozen=True, slots=True)
class Point:
    """Where."""

    x: int
    y: int = 2

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")

    @property
    def sum(self) -> "Nothing":
        """Both."""
        both: Any = self.x + self.y
        return both


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    start: Point
    points: tuple[Point, ...] = (Point(1), Point(2))
    kind: Kind = Kind.ONE


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@dataclass
class Loose:
    names: list[str]


class Entry(NamedTuple):
    """A line."""

    start: int
    end: int
    name: bytes = b""

    @property
    def length(self) -> int:
        return self.end - self.start


def kind_of(value: object) -> str:
    match value:
        case Point(x, 2):
            return f"point {x}"
        case Line(start=Point(y=y)):
            return f"line {y}"
        case (first, *_):
            return f"entry {first}"
    return "other"
'''


def namespace(source: ast.Module) -> dict[str, object]:
    names: dict[str, object] = {"__name__": "made"}
    exec(compile(source, "made", "exec"), names)
    return names


ORDINARY = namespace(ast.parse(SOURCE))
READY = namespace(made_ready(ast.parse(SOURCE)))


def outcome(expression: str, names: dict[str, object]) -> object:
    """What an expression comes to, or which kind of error."""
    try:
        return repr(eval(expression, dict(names)))
    except (TypeError, ValueError) as error:
        return type(error)
    except AttributeError:
        # Of a frozen dataclass it is a subclass, which nobody names.
        return AttributeError


@pytest.mark.parametrize(
    "expression",
    [
        "Point(1)", "Point(1, 3)", "Point(y=3, x=1)", "Point(-1)", "Point()",
        "Point(1, 2, 3)", "Point(1, z=2)", "Point(1).sum",
        "Point(1) == Point(1, 2)", "Point(1) == Point(1, 3)", "Point(1) == (1, 2)",
        "Point(1) != Point(1)", "hash(Point(1)) == hash(Point(1, 2))",
        "{Point(1): 1}[Point(1)]", "Line(start=Point(0)) in [Line(start=Point(0))]",
        "setattr(Point(1), 'x', 2)",
        "delattr(Point(1), 'x')", "hasattr(Point(1), '__dict__')",
        "Point.__slots__", "Point.__match_args__", "Line.__match_args__",
        "Line(start=Point(0))", "Line(Point(0))", "Line()",
        "Line(start=Point(0)).points is Line(start=Point(1)).points",
        "asdict(Line(start=Point(0), points=(Point(5),)))", "asdict(Empty())",
        "replace(Point(1), y=9)", "replace(Point(1), x=-1)", "replace(Point(1), z=9)",
        "Empty()", "Empty() == Empty()", "Loose(['a'])", "Kind(1)", "Kind.ONE.value",
        "Entry(1, 3)", "Entry(1, end=3, name=b'n').name", "Entry(1)", "Entry(1, 3)[1]",
        "Entry(1, 3) == (1, 3, b'')", "Entry(1, 3)._replace(end=4)",
        "Entry(1, 3)._asdict()", "Entry._make((1, 2, b'x'))", "Entry._fields",
        "Entry(1, 3).length", "setattr(Entry(1, 3), 'end', 4)",
        "sorted([Entry(2, 3), Entry(1, 3)])", "kind_of(Point(7))",
        "kind_of(Line(start=Point(1)))", "kind_of(Entry(4, 5))", "kind_of(Point(1, 1))",
    ],
)  # fmt: skip
def test_a_class_behaves_as_the_one_that_is_generated(expression: str) -> None:
    assert outcome(expression, READY) == outcome(expression, ORDINARY)


@pytest.mark.parametrize("words", ["A module of values.", "Where.", "Nothing"])
def test_docstrings_and_annotations_are_gone(words: str) -> None:
    made = ast.unparse(made_ready(ast.parse(SOURCE)))

    assert words in SOURCE
    assert words not in made
