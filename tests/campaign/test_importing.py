"""Records from elsewhere: taken whole, or refused with the reason."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis import load
from harness.campaign import importing
from harness.campaign.importing import check_fits, foreign_records
from harness.cli import main
from harness.errors import RecordError, UsageError
from harness.worker.measure import Record, Run, RunEnd, Superseded, render_record
from tests.synthetic import run_of, samples_of, sealed, whole_run, write_records


def written(path: Path, records: Sequence[Record]) -> Path:
    path.write_bytes(b"".join(render_record(record) for record in records))
    return path


def read_whole(path: Path) -> list[Record]:
    return list(foreign_records(path))


def run_elsewhere(name: str, **facts: object) -> Run:
    return replace(run_of(run=name), variant="host", **facts)  # type: ignore[arg-type]


def test_a_file_of_whole_runs_is_read_as_it_is(tmp_path: Path) -> None:
    records = [*whole_run(run_elsewhere("a"), [1]), *whole_run(run_elsewhere("b"), [2])]

    assert read_whole(written(tmp_path / "r", records)) == records


def test_a_run_that_was_cut_off_keeps_its_samples_and_is_not_analysed(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "r", whole_run(run_elsewhere("a"), [1, 2])[:-2])
    with open(path, "ab") as file:
        file.write(b'{"kind":"sam')

    assert main(["import", str(path), "--name", "n", "--results", str(tmp_path)]) == 0
    frame = load(tmp_path / "n")
    assert len(frame) == 6
    assert not frame["run_valid"].any()


def change_a_value(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"value":5,', b'"value":4,') for line in lines]


def lose_a_sample(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def add_a_sample(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[1], *lines[2:]]


def change_the_kernel(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"cpu":"0x00', b'"cpu":"0x41') for line in lines]


@pytest.mark.parametrize(
    "change", [change_a_value, lose_a_sample, add_a_sample, change_the_kernel]
)
def test_a_run_whose_lines_are_not_those_that_were_sealed_is_refused(
    tmp_path: Path, change: object
) -> None:
    path = written(tmp_path / "r", whole_run(run_elsewhere("a"), [5, 6]))
    assert callable(change)
    lines = change(path.read_bytes().splitlines(keepends=True))
    path.write_bytes(b"".join(lines))

    with pytest.raises(RecordError, match=r"r:\d+: the lines of run a do not match"):
        read_whole(path)


def test_lines_that_somebody_else_wrote_are_sealed_as_they_are(tmp_path: Path) -> None:
    """JSON may have spaces; what is kept is written as ours is."""
    *records, end = whole_run(run_elsewhere("a"), [5])
    theirs = [line.replace(b",", b", ") for line in map(render_record, records)]
    assert isinstance(end, RunEnd)
    sealed_by_them = hashlib.sha256(b"".join(theirs)).hexdigest()
    last = render_record(replace(end, seal=sealed_by_them))
    (tmp_path / "r").write_bytes(b"".join([*theirs, last]))

    assert main(["import", str(tmp_path / "r"), "--results", str(tmp_path / "x")]) == 0
    (kept,) = (tmp_path / "x").rglob("records.jsonl")
    assert kept.read_bytes() == b"".join([*map(render_record, records), last])


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (whole_run(run_elsewhere("a"), [1])[1:], "it is outside its run"),
        (whole_run(run_elsewhere("a"), [1]) * 2, "a run with this name began earlier"),
    ],
    ids=["no run", "twice"],
)
def test_lines_out_of_place_are_refused(
    tmp_path: Path, records: list[Record], words: str
) -> None:
    with pytest.raises(RecordError, match=words):
        read_whole(written(tmp_path / "r", records))


def test_a_run_that_was_superseded_is_so_here_too(tmp_path: Path) -> None:
    gone = Superseded(run="a", reason="its guest was gone")
    records = [*whole_run(run_elsewhere("a"), [1]), gone]
    path = written(tmp_path / "r", records)

    assert read_whole(path) == records
    assert main(["import", str(path), "--name", "n", "--results", str(tmp_path)]) == 0
    assert not load(tmp_path / "n")["run_valid"].any()


@pytest.mark.parametrize("at", [0, 2])
def test_a_run_is_not_superseded_before_it_ended(tmp_path: Path, at: int) -> None:
    records = whole_run(run_elsewhere("a"), [1])
    records.insert(at, Superseded(run="a", reason=""))

    with pytest.raises(
        RecordError, match=rf"r:{at + 1}: its run has not ended before it"
    ):
        read_whole(written(tmp_path / "r", records))


@pytest.mark.parametrize("text", [b"", b"no newline"])
def test_a_file_without_runs_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "r").write_bytes(text)

    with pytest.raises(UsageError, match="contains no runs"):
        read_whole(tmp_path / "r")


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_whole(tmp_path / "r")


def test_what_is_no_record_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(b"{}\n")

    with pytest.raises(RecordError, match=r"r:1: .*its kind is not one of"):
        read_whole(tmp_path / "r")


def test_runs_of_another_machine_stand_beside_those_that_are_there(
    tmp_path: Path,
) -> None:
    folder = write_records(tmp_path / "c", whole_run(run_of(run="here"), [1]))

    check_fits([run_elsewhere("there")], folder)
    check_fits([run_elsewhere("there")], tmp_path / "new")


def test_what_may_not_be_pooled_is_refused_with_what_differs(tmp_path: Path) -> None:
    folder = write_records(tmp_path / "c", whole_run(run_elsewhere("here"), [1]))
    other = run_elsewhere("there", cpu="0x41 0xd40")

    with pytest.raises(UsageError, match=r"cannot be pooled: cpu differs: .*0xd40"):
        check_fits([other], folder)
    with pytest.raises(UsageError, match="cannot be pooled: cpu differs"):
        check_fits([other, run_elsewhere("a")], tmp_path / "new")


def test_a_run_that_is_there_already_is_refused(tmp_path: Path) -> None:
    folder = write_records(tmp_path / "c", whole_run(run_elsewhere("a"), [1]))

    with pytest.raises(UsageError, match="already has these runs: a"):
        check_fits([run_elsewhere("a")], folder)


def test_a_run_that_was_refused_whole_is_imported_without_samples(
    tmp_path: Path,
) -> None:
    """A machine that may not raise vm.max_map_count sends such runs."""
    path = written(tmp_path / "r", sealed([run_elsewhere("a")]))

    assert main(["import", str(path), "--name", "n", "--results", str(tmp_path)]) == 0
    assert (tmp_path / "n" / "records.jsonl").read_bytes() == path.read_bytes()


def test_refused_records_leave_no_campaign_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_elsewhere("a")
    mixed = [
        *sealed([run, *samples_of(run, [1])]),
        *whole_run(replace(run, run="b", build_id="other"), [1]),
    ]

    path = written(tmp_path / "r", mixed)
    assert main(["import", str(path), "--results", str(tmp_path / "results")]) == 2

    assert "build_id differs" in capsys.readouterr().err
    assert list((tmp_path / "results").iterdir()) == []


def test_runs_are_imported_beside_those_that_took_no_samples(tmp_path: Path) -> None:
    """``audit`` adds such; a campaign may have no others."""
    write_records(tmp_path / "c", sealed([run_elsewhere("counted")]))

    check_fits([run_elsewhere("there")], tmp_path / "c")
    with pytest.raises(UsageError, match="already has these runs: counted"):
        check_fits([run_elsewhere("counted")], tmp_path / "c")


def test_a_campaign_that_is_added_to_is_looked_at_when_it_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two imports of one file at once would both find it missing."""
    path = written(tmp_path / "r", whole_run(run_elsewhere("a"), [1]))
    words = ["import", str(path), "--name", "n", "--results", str(tmp_path)]
    others: list[int] = []

    def check(runs: Sequence[Run], folder: Path) -> None:
        monkeypatch.undo()
        others.append(main(words))
        check_fits(runs, folder)

    monkeypatch.setattr(importing, "check_fits", check)

    assert (main(words), others) == (0, [3])
    assert (tmp_path / "n" / "records.jsonl").read_bytes() == path.read_bytes()
