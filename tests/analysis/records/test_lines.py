"""The fast way to read lines and the strict one: the same frame, or the same error."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.analysis import load
from harness.analysis.records import lines
from harness.analysis.records.frames import records_of
from harness.analysis.records.lines import blocks_of
from harness.errors import HarnessError, RecordError
from harness.host.files import BLOCK
from harness.worker.measure import (
    Count,
    Record,
    Run,
    RunEnd,
    Sample,
    Status,
    Superseded,
    render_record,
)
from harness.worker.measure.records import LONGEST
from tests.synthetic import run_of, samples_of, write_records

NAMES = ("a", "b")
RUNS = [replace(run_of(run=name), build_id=None) for name in NAMES]
SAMPLES = [sample for run in RUNS for sample in samples_of(run, [5])]

# Some of the text that JSON has several ways for, and none of what it refuses.
TEXTS = st.text(st.sampled_from('a "\\/\n\0\x7fé€\U0001f600'), max_size=4)

RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(replace, st.sampled_from(SAMPLES), reason=TEXTS, valid=st.booleans()),
    st.builds(
        replace, st.sampled_from(SAMPLES), value=st.integers(-(1 << 63), (1 << 63) - 1)
    ),
    st.builds(replace, st.sampled_from(RUNS), cpu=TEXTS, build_id=st.none() | TEXTS),
    st.builds(
        RunEnd, run=st.sampled_from(NAMES), valid=st.booleans(), reason=TEXTS,
        seal=st.just(""),
    ),
    st.builds(Superseded, run=st.sampled_from(NAMES), reason=TEXTS),
    st.builds(
        Count, run=st.sampled_from(NAMES), step=TEXTS, what=TEXTS,
        predicted=st.just(1), counted=st.just(1), agrees=st.booleans(),
    ),
    st.just(Status(code=0)),
)  # fmt: skip

# What one reader of JSON takes and another does not, or takes for something else.
PIECES = [
    b"", b" ", b"\t", b"\r", b"\n", b"\n\n", b"0", b"1", b"-", b"+1", b"-0", b"01",
    b"1.0", b"1e3", b"1E0", b"NaN", b"Infinity", b"-Infinity", b"0x1", b"1_0",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809",
    b"999999999999999999", b"1000000000000000000", b"1" * 400, b"true", b"True",
    b"false", b"null", b'"', b'"a"', b'"1"', b"'a'", b",", b":", b"{", b"}", b"[", b"]",
    b"{}", b"[1]", b"//", b"/**/", b"\0", b"\x1f", b"\x7f", b"\xff", b"\xc3\xa9",
    b"\xef\xbb\xbf", b"\\", b"\\u0041", b"\\u00E9", b"\\ud83d\\ude00", b"\\ud800",
    b"\\udc00", b"\\u0000", b"\\x41", b"\\n", b"\\/", b"fork", b"insns", b"ns",
    b'"value":1,', b'"run":"a",', b'"kind":"sample",', b'"other":1,', b'"kind":"run"',
]  # fmt: skip


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """Lines of records, a few of them changed, each where a token ends."""
    told = [render_record(record) for record in draw(st.lists(RECORDS, max_size=6))]
    text = bytearray(b"".join(map(render_record, RUNS[: draw(st.integers(1, 2))])))
    text += b"".join(told)
    for _ in range(draw(st.integers(0, 3))):
        ends = [at for at, byte in enumerate(text) if byte in b'",:{}\n'] or [0]
        at = draw(st.sampled_from(ends)) + draw(st.integers(0, 1))
        until = at + draw(st.sampled_from([0, 0, 1, 2, 5]))
        text[at:until] = draw(st.sampled_from(PIECES))
    return bytes(text)


def strictly(path: Path) -> list[dict[str, Any]]:
    """The rows of the samples of a file, one by one."""
    runs: dict[str, Run] = {}
    ended: dict[str, bool] = {}
    superseded = set()
    samples = []
    for record in records_of(path):
        match record:
            case Run():
                runs[record.run] = record
            case RunEnd():
                ended[record.run] = record.valid
            case Superseded():
                superseded.add(record.run)
            case Sample():
                samples.append(record)
    return [
        {
            **asdict(runs[s.run]),
            **asdict(s),
            "run_valid": ended.get(s.run, False) and s.run not in superseded,
        }
        for s in samples
    ]


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    texts = frame.select_dtypes("category").columns
    whole = frame.astype(dict.fromkeys(texts, object))
    rows = whole.astype(object).where(whole.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


@pytest.fixture(params=[1 << 20, 300], ids=["one block", "many blocks"])
def path(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setattr(lines, "BLOCK", request.param)
    return tmp_path / "records.jsonl"


def agree(path: Path) -> None:
    try:
        expected = strictly(path)
    except RecordError as error:
        with pytest.raises(RecordError) as raised:
            load(path)
        told = (str(error), error.line)
        assert (str(raised.value), raised.value.line) == told
        return
    if not expected:
        with pytest.raises(HarnessError, match="has no samples yet"):
            load(path)
        return
    assert rows_of(load(path)) == expected


@pytest.mark.long
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=150,
)  # fmt: skip
@given(spoiled())
@example(b"")
@example(b"no newline")
@example(b"\n")
@example(b'{"kind":"end","run":"a","valid":true,"reason":"","seal":""}\n')
def test_the_fast_way_and_the_strict_one_agree(path: Path, text: bytes) -> None:
    path.write_bytes(text)

    agree(path)


@pytest.mark.parametrize("piece", PIECES, ids=repr)
@pytest.mark.parametrize("token", [b"1", b"true", b'""', b'"fork"', b":", b","])
def test_each_piece_in_the_place_of_each_token_is_told_by_both(
    tmp_path: Path, token: bytes, piece: bytes
) -> None:
    line = (
        b'{"kind":"sample","run":"a","order":1,"began":1,"metric":"fork",'
        b'"unit":"ns","value":1,"store":"","repetition":1,"warmup":true,'
        b'"valid":true,"reason":""}\n'
    )
    path = tmp_path / "records.jsonl"
    path.write_bytes(
        render_record(RUNS[0]) + line + line.replace(token, piece, 1) + line
    )

    agree(path)


def test_what_we_write_is_read_the_fast_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nothing would be wrong, but all of it slow."""
    told: list[Record] = [
        *RUNS, replace(SAMPLES[0], reason='said "é" \\ € \n'), *SAMPLES[1:],
        replace(SAMPLES[0], value=-(10**17), began=0),
        RunEnd(run="a", valid=True, reason="", seal="ab"),
        Superseded(run="a", reason="gone"), Status(code=-9),
        Count(run="a", step="fork 1", what="96", predicted=1, counted=2, agrees=False),
    ]  # fmt: skip
    folder = write_records(tmp_path, told)

    def never(line: bytes) -> Record:
        raise AssertionError(line)

    monkeypatch.setattr(lines, "parse_record", never)
    (block,) = blocks_of(folder / "records.jsonl")

    assert sum(len(rows.numbers) for rows in block.rows.values()) == len(told)
    assert block.error is None


@pytest.mark.parametrize("schema", [1, 2])
def test_lines_of_older_schemas_are_read_as_well(schema: int) -> None:
    records = Path(__file__).parents[2] / "data" / "records"
    recorded = records / f"schema-{schema}.jsonl"

    assert rows_of(load(recorded)) == strictly(recorded)


@pytest.mark.parametrize("end", [b"", b"\n", b"\n{}\n"])
def test_a_line_without_end_is_not_held_in_memory(path: Path, end: bytes) -> None:
    """The rest of a line that is too long is not kept; that it is there is told."""
    good = render_record(RUNS[0]) + render_record(SAMPLES[0])
    path.write_bytes(good + b'{"kind":"sample","run":"' + b"x" * 5 * LONGEST + end)

    with pytest.raises(RecordError, match=r"jsonl:3: .*longer than 1048576") as raised:
        load(path)
    assert len(raised.value.line) <= LONGEST + BLOCK + 1


def test_an_error_shows_no_escape_sequence(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(render_record(RUNS[0]) + b'\x1b]0;owned\x07{"a\x9b31m"}\n')

    with pytest.raises(RecordError) as raised:
        load(path)

    assert str(raised.value).isprintable()


def test_json_of_several_spellings_is_one_frame(tmp_path: Path) -> None:
    """Spaces and another order of fields are no error, only slower."""
    path = write_records(tmp_path, [RUNS[0], *SAMPLES[:3]]) / "records.jsonl"
    frame = load(path)
    told = [json.loads(line) for line in path.read_bytes().splitlines()]
    shuffled = [dict(reversed(each.items())) for each in told]
    text = [json.dumps(each, ensure_ascii=False) + " \n" for each in shuffled]
    path.write_text(text[0] + json.dumps(told[1], separators=(",", ":")) + "\n")
    with open(path, "a") as file:
        file.write("".join(text[2:]))

    pd.testing.assert_frame_equal(load(path), frame)
