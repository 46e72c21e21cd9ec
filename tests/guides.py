"""The part of harness/guides/records.md that is made from the code.

    python -m tests.guides     # write it again

Each kind of record has the text of its class and a table of its fields: their types,
and what the docstring says of each. Where the guide has less than you want, say it in
the docstring.
"""

import inspect
import re
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from harness.worker.measure import Metric, Unit, records
from harness.workload import NamingKind, Store

GUIDES = Path(__file__).parents[1] / "harness/guides"
RECORDS = GUIDES / "records.md"

_BEGIN, _END = "<!-- generated: records -->\n", "<!-- end -->\n"
_CLOSED: dict[str, type[Enum]] = {
    "metric": Metric, "unit": Unit, "store": Store, "naming": NamingKind,
}  # fmt: skip
_TYPES = {bool: "true, false", int: "number", str: "text", type(None): "null"}
# Where what is said of one field ends, and what is said of the next begins.
_NEXT = re.compile(r"(?:[,;] |\.\s+)(?=``)|\.\s+(?=[A-Z])")
# Which fields a clause is about: those that it begins with.
_ABOUT = re.compile(r"``(\w+)``(?:(?:, | and )``(\w+)``)*")


def generated() -> str:
    """What stands between the two marks."""
    return "\n".join([*_history(), *_metrics(), *_kinds()])


def with_generated(guide: str) -> str:
    """The guide with that part as the code has it now."""
    before, begin, rest = guide.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    assert begin, f"the guide has no line {_BEGIN!r}"
    assert end, f"the guide has no line {_END!r}"
    return before + begin + "\n" + generated() + "\n" + end + after


def _history() -> Iterator[str]:
    text = inspect.getdoc(records) or ""
    versions = re.findall(r"^  (\d+)  (.+)$", text, re.MULTILINE)
    yield f"This version writes schema {records.SCHEMA} and reads all of these:\n"
    yield "| schema | change |"
    yield "| --- | --- |"
    yield from (f"| {number} | {change} |" for number, change in versions)
    yield ""


def _metrics() -> Iterator[str]:
    said = dict(re.findall(r"^([A-Z_]+): (.+?)\.?$", _doc(Metric), re.MULTILINE))
    yield "### Metrics\n"
    yield "| `metric` | interval |"
    yield "| --- | --- |"
    yield from (f"| `{each.value}` | {said[each.name]} |" for each in Metric)
    yield ""


def _kinds() -> Iterator[str]:
    for name, kind in records.KINDS.items():
        yield f"### {name}\n"
        summary, *_ = _doc(kind).split("\n\n")
        yield _markdown(" ".join(summary.split())) + "\n"
        yield "| field | type | meaning |"
        yield "| --- | --- | --- |"
        yield "| `kind` | text | `" + name + "` |"
        said = _said(kind)
        for field, wanted in typing.get_type_hints(kind).items():
            yield f"| `{field}` | {_type(wanted)} | {_meaning(field, said)} |"
        yield ""


def _doc(kind: type) -> str:
    return inspect.getdoc(kind) or ""


def _type(wanted: object) -> str:
    return " or ".join(_TYPES[each] for each in typing.get_args(wanted) or (wanted,))


def _said(kind: type) -> dict[str, str]:
    """What the docstring of a record says of each field that it names."""
    said: dict[str, str] = {}
    for clause in _NEXT.split(" ".join(_doc(kind).split())):
        if about := _ABOUT.match(clause):
            fields = re.findall(r"``(\w+)``", about[0])
            words = clause.rstrip(".")
            if len(fields) == 1:
                # Its row has its name already.
                words = words.removeprefix(about[0]).lstrip().removeprefix("is ")
            for field in fields:
                said.setdefault(field, _markdown(words))
    return said


def _meaning(field: str, said: dict[str, str]) -> str:
    values = _CLOSED.get(field)
    listed = "" if values is None else ", ".join(f"`{each.value}`" for each in values)
    return "; ".join(filter(None, (said.get(field, ""), listed)))


def _markdown(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    RECORDS.write_text(with_generated(RECORDS.read_text()))
