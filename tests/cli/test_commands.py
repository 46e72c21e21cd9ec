"""What show prints of campaigns that never ran, and how run ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign import Outcome
from harness.cli import main, measure
from harness.cli.results import page_of
from harness.errors import GuestLost, UsageError
from harness.targets.subjects import Subject, TargetChoice
from harness.worker.measure import Record, RunEnd, Sample
from tests.synthetic import cell_records, run_of, whole_run, write_records


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def campaign_records() -> list[Record]:
    """Two boots of a kernel with both stores, and of one that keeps no names."""
    return [
        *cell_records([100_000, 100_200]),
        *cell_records([110_000, 110_400], naming="distinct:79"),
        *cell_records([300_000, 300_200], naming="distinct:79", store="strdup"),
        *cell_records([90_000, 90_000], variant="none", store="absent"),
    ]


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What ``show`` prints, as lines of words; it must succeed."""
    assert main(["show", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return [" ".join(line.split()) for line in out.splitlines()]


def test_show_prints_the_tables_of_a_campaign_and_derives_parquet(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = write_records(tmp_path / "c", campaign_records())

    lines = shown(capsys, str(folder))

    assert lines[1] == (
        "What names cost at fork: linux 6.12, kernel switch, "
        "qemu aarch64 (tcg icount shift=0)"
    )
    cell = "1,000 0 distinct:79 strdup 2 100,100 ±0.10% +200.0 [200.0, 200.0]"
    assert f"{cell} +199.80 [199.60, 200.00]" in lines
    assert "none 6.12 qemu aarch64 1,000 0 2 90,000 ±0.00% insns" in lines
    assert lines[-1] == f"72 samples: {folder / 'records.parquet'}"
    parquet = shown(capsys, str(folder / "records.parquet"))
    assert parquet == lines[:-1]


def test_show_takes_a_name_and_without_one_the_newest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    older = write_records(tmp_path / "z", cell_records([1, 1], base="6.1"))
    newer = write_records(tmp_path / "a", cell_records([1, 1]))
    os.utime(older / "records.jsonl", (1, 1))

    # That one was looked at makes it no newer.
    for words, folder in (([], newer), (["z"], older), ([], newer)):
        lines = shown(capsys, *words, "--results", str(tmp_path))
        assert lines[-1].endswith(str(folder / "records.parquet"))


@pytest.mark.parametrize(
    ("campaign", "page"),
    [
        ("v6.12", "v6.12.html"), ("there/c.6", "c.6.html"),
        ("c.6.parquet", "c.6.html"), (".", "here.6.html"),
    ],
)  # fmt: skip
def test_a_page_has_the_whole_name_of_its_campaign(
    campaign: str, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here.6"
    here.mkdir()
    monkeypatch.chdir(here)

    assert page_of(Path(campaign)) == Path(page)


@pytest.mark.parametrize(
    "out", ["records.jsonl", "plan.json", "kept.parquet", "../c/kept.parquet", "x"]
)
def test_what_is_made_of_a_campaign_takes_no_file_s_place_in_it(
    out: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = write_records(tmp_path / "c", campaign_records())
    (folder / "kept.parquet").write_text("kept")
    before = {path: path.read_bytes() for path in folder.iterdir()}

    for command in (["export", "c"], ["report", "c", "--out"]):
        said = [*command, str(folder / out), "--results", str(tmp_path)]
        assert main(said) == 2
        assert (
            "expected a file name that ends" in capsys.readouterr().err or "kept" in out
        )

    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_campaign_can_be_exported_into_its_own_folder(tmp_path: Path) -> None:
    folder = write_records(tmp_path / "c", campaign_records())

    assert main(["export", str(folder), str(folder / "c.parquet")]) == 0
    assert main(["show", str(folder / "c.parquet")]) == 0


def test_show_tells_what_speaks_against_the_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    records = [r for r in campaign_records() if not isinstance(r, RunEnd)]
    folder = write_records(tmp_path, records)

    lines = shown(capsys, str(folder))

    assert lines[0] == "no cell with fork has been measured completely"
    assert lines[1] == "distrust: 8 runs did not end, or ended invalid: left out"


def test_records_that_are_spoilt_are_told_by_file_and_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "records.jsonl").write_bytes(b"no \x1b record\n")

    assert main(["show", str(tmp_path)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert f"not a record: {tmp_path}/records.jsonl:1: not JSON" in err
    assert "\x1b" not in err


@pytest.mark.parametrize("hostile", ["[red]x[/red]", "[/x]", ":smile:", "\x1b[2J\r"])
def test_words_in_records_neither_style_nor_steer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, hostile: str
) -> None:
    """A guest may be anything; what it says is shown as it is."""
    run = replace(run_of(run="x", boot=9), variant=hostile)
    spoilt = [
        replace(r, valid=False, reason=hostile) if isinstance(r, Sample) else r
        for r in whole_run(run_of(run="y", boot=9), [1])
    ]
    folder = write_records(tmp_path, [*whole_run(run, [100]), *spoilt])

    text = "\n".join(shown(capsys, str(folder)))

    visible = hostile.replace("\x1b", r"\x1b").replace("\r", r"\r")
    assert f"distrust: 5 samples left out: {visible}" in text
    assert f"the spread is unknown: {visible}" in text
    assert "\x1b" not in text


@pytest.mark.long
def test_a_reader_who_has_had_enough_is_no_error(tmp_path: Path) -> None:
    folder = write_records(tmp_path, campaign_records())
    reading, writing = os.pipe()
    os.close(reading)

    with open(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "show", folder],
            stdout=pipe, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")


def test_run_tells_of_cells_that_failed_and_is_status_1(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(measure, "subjects_of", lambda *a, **k: [])

    def play(*_: object, append: Callable[[Record], None], **__: object) -> Outcome:
        for record in campaign_records():
            append(record)
        return Outcome(planned=3, ended=3, invalid=("cell a: VMA \x1b 3",))

    monkeypatch.setattr(measure, "run_plan", play)

    assert main(["run", "--name", "n", "--results", str(tmp_path)]) == 1

    out, err = capsys.readouterr()
    assert "0:00 3 of 3 cells measured" in err
    assert "not measured: cell a: VMA \\x1b 3\n" in err
    assert "What names cost at fork" in out
    assert (tmp_path / "n" / "plan.json").exists()


def test_run_measures_every_base_and_a_kernel_of_the_user_s_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured = []

    def subjects(
        choice: TargetChoice, variants: Sequence[str], base: str, **_: object
    ) -> list[Subject]:
        measured.append((choice.kind, base, *variants))
        return []

    monkeypatch.setattr(measure, "subjects_of", subjects)
    nothing = Outcome(planned=0, ended=0, invalid=())
    monkeypatch.setattr(measure, "run_plan", lambda *_, **__: nothing)

    line = "run --target host,uml --base 6.1,6.12 --variant none,refcount --results"
    assert main([*line.split(), str(tmp_path)]) == 0

    assert [kind for kind, *_ in measured] == ["host", "uml", "uml"]
    assert measured[1:] == [
        ("uml", "6.1", "none", "refcount"), ("uml", "6.12", "none", "refcount")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status", "advised"),
    [(UsageError("harness differs"), 2, False), (GuestLost("gone", ""), 3, True)],
)
def test_run_says_how_to_go_on_only_where_that_would(
    error: Exception,
    status: int,
    advised: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    folder = write_records(tmp_path / "n", campaign_records())

    def fail(*_: object, **__: object) -> list[Subject]:
        raise error

    monkeypatch.setattr(measure, "subjects_of", fail)

    assert main(["run", "--name", "n", "--results", str(tmp_path)]) == status
    assert ("repeat the command with --name n" in capsys.readouterr().err) == advised
    assert (folder / "records.jsonl").exists()
