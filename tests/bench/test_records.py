import json
from pathlib import Path

from tests.bench.figures import Figure, Kind, Pair
from tests.bench.records import appended, parse_pair, render_failure, render_pair

FIGURE = Figure(name="f", what="w", against="a", kind=Kind.FASTER, reach=5)
PAIR = Pair(
    repetition=3, ours=2.5, other=10.0, unit="insns", clock="CLOCK_MONOTONIC", size=7
)


def test_a_repetition_is_read_back_as_it_was() -> None:
    assert parse_pair(render_pair(FIGURE, PAIR)) == ("f", PAIR)


def test_a_repetition_says_where_and_when_it_was_taken() -> None:
    record = json.loads(render_pair(FIGURE, PAIR))

    assert record["ratio"] == 4
    assert {"kernel", "python", "harness", "time"} <= record.keys()


def test_a_failure_says_why_and_is_no_repetition() -> None:
    line = render_failure(FIGURE, "the guest panicked")

    assert json.loads(line)["reason"] == "the guest panicked"
    assert parse_pair(line) is None


def test_records_are_appended_to_a_file_of_their_own(tmp_path: Path) -> None:
    paths = []
    for _ in range(2):
        with appended(tmp_path) as (path, append):
            append(b"one\n")
            append(b"two\n")
        paths.append(path)

    assert [path.read_bytes() for path in paths] == [b"one\ntwo\n"] * 2
    assert paths[0] != paths[1]
