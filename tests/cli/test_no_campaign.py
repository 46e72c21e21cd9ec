"""What is given as a campaign and is none: one sentence of ours, nothing made."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import load, write_parquet
from harness.analysis.records.provenance import export_campaign
from harness.cli import main
from harness.cli.parser import commands_of, make_parser
from tests.synthetic import cell_records, write_records

# Every command that is given a campaign, with the rest of its line.
LINES = {
    "show": "show GIVEN",
    "report": "report GIVEN --out made.html",
    "report as a mail": "report GIVEN --text",
    "export": "export GIVEN made.parquet",
    "compare": "compare GIVEN",
    "compare as the first": "compare GIVEN good",
    "compare as the second": "compare good GIVEN",
    "import": "import GIVEN --name imported",
}
# What libraries say, and Python, of a file that they cannot read.
THEIR_WORDS = re.compile(
    r"Errno|Arrow|thrift|footer|magic|deserial|Detail|codec|b'anonvma'"
)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : third + 50] = bytes(50)
    path.write_bytes(content)


# By what it is: how it is made in a folder that has a campaign, and its export.
KINDS: dict[str, tuple[str, Callable[[], object]]] = {
    "a name of nothing": ("nosuch", lambda: None),
    "a path to nothing": ("no/such", lambda: None),
    "a path that is all but too long": ("a/" * 2045, lambda: None),
    "a place with no root": ("/no/such", lambda: None),
    "Parquet that is not there": ("no.parquet", lambda: None),
    "records that are not there": ("no.jsonl", lambda: None),
    "a link to itself": ("loop", lambda: Path("loop").symlink_to("loop")),
    "an empty folder": ("empty", lambda: Path("empty").mkdir()),
    "a folder as Parquet": ("dir.parquet", lambda: Path("dir.parquet").mkdir()),
    "a plan without records": (
        "planned", lambda: shutil.copytree("results/good", "planned",
            ignore=shutil.ignore_patterns("records*"))
    ),
    "records that are a folder": (
        "folders", lambda: Path("folders/records.jsonl").mkdir(parents=True)
    ),
    "a file of something else": ("text", lambda: Path("text").write_text("hello\n")),
    "Parquet of nothing": ("none.parquet", lambda: Path("none.parquet").touch()),
    "Parquet that is text": (
        "text.parquet", lambda: Path("text.parquet").write_text("hello\n" * 9)
    ),
    "Parquet cut short": ("good.parquet", lambda: cut(Path("good.parquet"))),
    "Parquet with a hole": ("good.parquet", lambda: damage(Path("good.parquet"))),
    "Parquet of others": (
        "other.parquet", lambda: pd.DataFrame({"a": [1]}).to_parquet("other.parquet")
    ),
}  # fmt: skip
# The same, of what is good enough for commands that ask no plan.
UNPLANNED: dict[str, tuple[str, Callable[[], object]]] = {
    "records alone": (
        "alone.jsonl", lambda: shutil.copy("results/good/records.jsonl", "alone.jsonl")
    ),
    "Parquet that was not exported": (
        "plain.parquet",
        lambda: write_parquet(load(Path("good.parquet")), Path("plain.parquet")),
    ),
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one campaign in results, good, and its export."""
    monkeypatch.chdir(tmp_path)
    records = [*cell_records([100, 101]), *cell_records([120, 122], naming="shared:9")]
    folder = write_records(tmp_path / "results/good", records)
    (folder / "plan.json").write_text('{"plan": {}, "command": [], "began": ""}')
    export_campaign(folder, tmp_path / "good.parquet")
    return tmp_path


def told(line: str, given: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says of a campaign that it cannot read; it makes nothing."""
    before = sorted(Path().rglob("*"))
    words = [given if word == "GIVEN" else word for word in line.split()]

    status = main(words)

    out, err = capsys.readouterr()
    assert (status in (2, 3), out) == (True, "")
    (said,) = err.splitlines()
    assert sorted(Path().rglob("*")) == before
    assert said.startswith("anonvma: ")
    assert len(said) < 500 + len(given)
    assert not THEIR_WORDS.search(said), said
    return said


def test_every_command_that_is_given_a_campaign_is_tried() -> None:
    given = {
        command
        for command, parser in commands_of(make_parser())
        if any(action.dest == "results" for action in parser._actions)
        and any(not action.option_strings for action in parser._actions)
    }

    assert given == {line.split()[0] for line in LINES.values()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", LINES)
def test_a_campaign_that_is_none_is_one_sentence_of_ours(
    command: str, kind: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, make = KINDS[kind]
    make()

    said = told(LINES[command], given, capsys)

    assert given[:60].rstrip("/") in said


@pytest.mark.parametrize("kind", UNPLANNED)
@pytest.mark.parametrize("command", ["report", "report as a mail", "export"])
def test_what_has_no_plan_is_told_to_those_who_ask_for_one(
    command: str, kind: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, make = UNPLANNED[kind]
    make()

    said = told(LINES[command], given, capsys)

    assert given in said
    assert "folder" in said


@pytest.mark.parametrize("command", ["report", "export", "compare"])
def test_a_plan_that_is_damaged_is_named(
    command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "results/good/plan.json").write_text("[")

    assert "plan.json" in told(LINES[command], "good", capsys)


def test_what_is_exported_already_is_told_so(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = told(LINES["export"], "good.parquet", capsys)

    assert "expected a campaign's folder, not good.parquet" in said


def test_a_parquet_is_no_records_to_import(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = told(LINES["import"], "good.parquet", capsys)

    assert "expected records, but good.parquet is Parquet" in said
    assert "anonvma show good.parquet" in said
