"""Parses records strictly: exactly the fields of a record, each in its type."""

import json
import typing
from typing import Any

from harness.errors import RecordError
from harness.worker.measure.protocol import protocol_of_version
from harness.worker.measure.records import (
    KINDS,
    LONGEST,
    SCHEMAS,
    WITH_PROTOCOL,
    Metric,
    Record,
    Run,
    Unit,
)
from harness.workload import NamingKind, Store

# The fields with a closed set of values, and the values.
CLOSED = {
    "metric": frozenset(metric.value for metric in Metric),
    "unit": frozenset(unit.value for unit in Unit),
    "store": frozenset(store.value for store in Store),
    "naming": frozenset(kind.value for kind in NamingKind),
}
# The types of each field. Compared by type(), because a bool is an int in Python.
FIELDS: dict[type[Record], dict[str, tuple[object, ...]]] = {
    kind: {
        name: typing.get_args(wanted) or (wanted,)
        for name, wanted in typing.get_type_hints(kind).items()
    }
    for kind in KINDS.values()
}
_INT64 = range(-(1 << 63), 1 << 63)


def parse_record(line: bytes) -> Record:
    """Parse one line, with or without its newline.

    Raises RecordError, which shows the line, unless it has exactly the fields of a
    record of a known schema, each once and in its type. Numbers must be whole and fit
    in 64 bits; text must not contain half a surrogate pair.
    """
    if len(line) > LONGEST:
        raise RecordError(line, f"longer than {LONGEST} bytes")
    try:
        # Any: what JSON holds is unknown until checked below.
        found: Any = json.loads(line.decode(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise RecordError(line, f"not JSON ({error})") from None
    if not isinstance(found, dict):
        raise RecordError(line, "not a JSON object")
    kind = KINDS.get(str(found.pop("kind", None)))
    if kind is None:
        raise RecordError(line, f"its kind is not one of {', '.join(KINDS)}")
    if kind is Run and found.get("schema") not in SCHEMAS:
        raise RecordError(
            line,
            f"it has schema {found.get('schema')!r}, but this harness reads only "
            f"{', '.join(map(str, SCHEMAS[:-1]))} and {SCHEMAS[-1]}",
        )
    wanted = FIELDS[kind]
    if kind is Run and found["schema"] < WITH_PROTOCOL:
        if "protocol" in found:
            raise RecordError(line, "unknown field protocol")
        # A version that is not text raises an error below.
        found["protocol"] = protocol_of_version(str(found.get("harness")))
    if found.keys() != wanted.keys():
        if missing := [name for name in wanted if name not in found]:
            raise RecordError(line, f"missing field {', '.join(missing)}")
        unknown = sorted(set(found) - set(wanted))
        raise RecordError(line, f"unknown field {', '.join(unknown)}")
    for name, types in wanted.items():
        value = found[name]
        if type(value) not in types:
            raise RecordError(line, f"field {name} has the wrong type")
        if type(value) is int and value not in _INT64:
            raise RecordError(line, f"field {name} has more than 64 bits")
        if type(value) is str and not value.isascii() and not _is_whole(value):
            raise RecordError(line, f"field {name} contains half a surrogate pair")
        if name in CLOSED and value not in CLOSED[name]:
            raise RecordError(line, f"field {name} has an unknown value")
    return kind(**found)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field occurs twice")
    return found


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
