import dataclasses
import json
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.worker.measure import (
    Metric,
    Record,
    Run,
    RunEnd,
    Sample,
    Status,
    Superseded,
    Unit,
    parse_record,
    protocol_of_version,
    render_record,
)
from harness.worker.measure.records import SCHEMAS, WITH_PROTOCOL
from harness.workload import NamingKind, Store

RECORDED = Path(__file__).parents[2] / "data" / "records"

SAMPLE = Sample(
    run="a", order=1, began=2, metric="fork", unit="insns", value=3,
    store="strdup", repetition=0, warmup=False, valid=True, reason="",
)  # fmt: skip

units = st.sampled_from([unit.value for unit in Unit])
metrics = st.sampled_from([metric.value for metric in Metric])
namings = st.sampled_from([kind.value for kind in NamingKind])
stores = st.sampled_from([store.value for store in Store])
# Any text at all but half of a surrogate pair, which no file can hold.
texts = st.text(max_size=20)


def made(kind: type[Record], **closed: st.SearchStrategy[object]) -> st.SearchStrategy:
    """Every value of a kind of record; ``closed`` are fields that are not free."""
    free: dict[object, st.SearchStrategy[object]] = {
        int: st.integers(-(1 << 63), (1 << 63) - 1),
        str: texts,
        bool: st.booleans(),
        str | None: st.none() | texts,
    }
    types_of = typing.get_type_hints(kind)
    return st.builds(kind, **{n: closed.get(n, free[t]) for n, t in types_of.items()})


def as_written(run: Run) -> Run:
    """A run whose protocol is what its version says, where its schema has none."""
    if run.schema < WITH_PROTOCOL:
        return dataclasses.replace(run, protocol=protocol_of_version(run.harness))
    return run


schemas = st.sampled_from(SCHEMAS)
records = st.one_of(
    made(Run, schema=schemas, unit=units, store=stores, naming=namings).map(as_written),
    made(Sample, metric=metrics, unit=units, store=stores),
    made(RunEnd),
    made(Superseded),
    made(Status),
)


@given(records)
def test_what_is_rendered_is_one_line_and_parses_back(record: Record) -> None:
    line = render_record(record)

    assert line.index(b"\n") == len(line) - 1
    assert parse_record(line) == parse_record(line[:-1]) == record


@given(st.binary(max_size=200))
def test_bytes_that_are_no_record_are_refused(line: bytes) -> None:
    with pytest.raises(RecordError) as raised:
        parse_record(line)

    assert raised.value.line == line


@given(records, st.data())
def test_a_line_with_one_byte_changed_is_refused_or_is_a_record(
    record: Record, data: st.DataObject
) -> None:
    line = bytearray(render_record(record))
    line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))

    try:
        found = parse_record(bytes(line))
    except RecordError:
        return
    assert parse_record(render_record(found)) == found


def with_fields(**changed: object) -> bytes:
    """A sample's line with some fields set; one that is ``...`` is left out."""
    fields = {"kind": "sample", **dataclasses.asdict(SAMPLE), **changed}
    return json.dumps({k: v for k, v in fields.items() if v is not ...}).encode()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"1" * 5000, "not JSON"),
        (render_record(SAMPLE)[:-3], "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "its kind is not one of run, sample, count, end, superseded, status"),
        (with_fields(kind="other"), "its kind is not one of"),
        (with_fields(kind=["sample"]), "its kind is not one of"),
        (with_fields(value=...), "missing field value"),
        (with_fields(value=..., store=...), "missing field value, store"),
        (with_fields(b=1, a=2), "unknown field a, b"),
        (with_fields(value=True), "field value has the wrong type"),
        (with_fields(valid=1), "field valid has the wrong type"),
        (with_fields(value=1.0), "field value has the wrong type"),
        (with_fields(value="1"), "field value has the wrong type"),
        (with_fields(value=None), "field value has the wrong type"),
        (with_fields(reason=None), "field reason has the wrong type"),
        (with_fields(value=1 << 63), "field value has more than 64 bits"),
        (with_fields(value=-(1 << 63) - 1), "field value has more than 64 bits"),
        (with_fields(reason="\ud800"), "field reason contains half a surrogate pair"),
        (with_fields(reason="a" * (1 << 20)), "longer than 1048576 bytes"),
        (with_fields().replace(b'"valid"', b'"warmup"'), "a field occurs twice"),
        (with_fields().replace(b"}", b',"value":3}'), "a field occurs twice"),
        (b"\xef\xbb\xbf" + with_fields(), "not JSON"),
        (with_fields().decode().encode("utf-16"), "not JSON"),
        (with_fields(metric="forks"), "field metric has an unknown value"),
        (with_fields(store="heap"), "field store has an unknown value"),
        (with_fields(unit="s"), "field unit has an unknown value"),
        (with_fields(unit=["ns"]), "field unit has the wrong type"),
        (b'{"kind":"status","code":false}', "field code has the wrong type"),
        (
            b'{"kind":"run","schema":4}',
            "schema 4, but this harness reads only 1, 2 and 3",
        ),
        (
            b'{"kind":"run","schema":[1]}',
            "schema [1], but this harness reads only 1, 2 and 3",
        ),
        (b'{"kind":"run"}', "schema None, but this harness reads only 1, 2 and 3"),
        (b'{"kind":"superseded","run":"a"}', "missing field reason"),
        (b'{"kind":"superseded","run":1,"reason":""}', "field run has the wrong type"),
        (b'{"kind":"run","schema":1}', "missing field run, campaign"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:30]),
)
def test_an_error_shows_the_line_and_what_is_wrong_with_it(
    line: bytes, why: str
) -> None:
    with pytest.raises(RecordError) as raised:
        parse_record(line)

    assert why in str(raised.value)
    assert repr(line[:300]) in str(raised.value)
    assert raised.value.line == line


def test_a_schema_that_is_true_is_not_schema_1() -> None:
    (run, *_) = (RECORDED / "schema-1.jsonl").read_bytes().splitlines()
    line = run.replace(b'"schema":1', b'"schema":true')
    assert line != run

    with pytest.raises(RecordError, match="field schema has the wrong type"):
        parse_record(line)


def test_that_a_run_is_superseded_is_one_line() -> None:
    record = Superseded(run="a", reason="its guest was gone")
    line = b'{"kind":"superseded","run":"a","reason":"its guest was gone"}\n'

    assert render_record(record) == line
    assert parse_record(line) == record


@pytest.mark.parametrize(("schema", "protocol"), [(1, 1), (2, 4)])
def test_records_of_older_schemas_have_the_protocol_of_their_version(
    schema: int, protocol: int
) -> None:
    """And are written again as they were, so that their seal is still theirs."""
    lines = (RECORDED / f"schema-{schema}.jsonl").read_bytes().splitlines(keepends=True)

    records = [parse_record(line) for line in lines]

    assert isinstance(records[0], Run)
    assert (records[0].schema, records[0].protocol) == (schema, protocol)
    assert [render_record(record) for record in records] == lines


def test_a_run_has_a_protocol_since_schema_3_only() -> None:
    (line, *_) = (RECORDED / "schema-2.jsonl").read_bytes().splitlines()
    today = line.replace(b'"schema":2', b'"schema":3')
    said = today.replace(b'"launched"', b'"protocol":7,"launched"')

    assert getattr(parse_record(said), "protocol", None) == 7
    with pytest.raises(RecordError, match="missing field protocol"):
        parse_record(today)
    with pytest.raises(RecordError, match="unknown field protocol"):
        parse_record(said.replace(b'"schema":3', b'"schema":2'))


def test_records_of_schema_1_are_read_as_they_were_written() -> None:
    lines = (RECORDED / "schema-1.jsonl").read_bytes().splitlines(keepends=True)

    run, *samples, end = (parse_record(line) for line in lines)

    assert [render_record(record) for record in (run, *samples, end)] == lines
    assert isinstance(run, Run)
    assert (run.variant, run.naming, run.name_length) == ("switch", "distinct", 79)
    assert samples[1] == Sample(
        run=run.run, order=1, began=2_521_261_072, metric="fork", unit="insns",
        value=1_180_032, store="refcounted", repetition=0, warmup=True, valid=True,
        reason="",
    )  # fmt: skip
    assert end == RunEnd(
        run=run.run,
        valid=True,
        reason="",
        seal="eb0856473a0aa5912501364708e594e0a801827cfa07a948728531d3dd34d018",
    )
