import json
import random
from pathlib import Path

import pytest

from harness.cli import main
from harness.measure import Record
from tests.synthetic import run_of, whole_run, write_records

BASELINE, SAME, SLOWER, UNEVEN = "baseline", "same", "slower", "uneven"


@pytest.fixture
def campaigns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four campaigns of the instruction clock in results/."""
    monkeypatch.chdir(tmp_path)
    for name, slower, drift in (
        (BASELINE, 0.0, 0.0), (SAME, 0.0, 0.0), (SLOWER, 0.03, 0.0),
        (UNEVEN, 0.0, 0.05),
    ):  # fmt: skip
        rng = random.Random(name)
        records: list[Record] = []
        for boot in range(3):
            for position, (naming, extra) in enumerate(
                [("none", 0.0), ("none", drift), ("distinct:79", 0.017)]
            ):
                cost = 1_000_000 * (1 + slower) * (1 + extra) * rng.gauss(1, 0.0001)
                run = run_of(
                    run=f"{boot}-{position}", naming=naming, boot=boot,
                    position=position,
                )  # fmt: skip
                records += whole_run(run, [int(cost)] * 3)
        write_records(tmp_path / "results" / name, records)
    return tmp_path


@pytest.mark.parametrize(
    ("second", "status", "words"),
    [
        (SAME, 0, "all alike"),
        (SLOWER, 1, "regressed"),
        (UNEVEN, 1, "NO VERDICT BELOW CAN BE TRUSTED"),
    ],
)
def test_the_status_is_what_a_gate_needs(
    campaigns: Path,
    capsys: pytest.CaptureFixture[str],
    second: str,
    status: int,
    words: str,
) -> None:
    assert main(["compare", BASELINE, second, "--margin", "2%"]) == status
    assert words in capsys.readouterr().out


def test_json_has_a_schema_and_every_cell(
    campaigns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["compare", BASELINE, SLOWER, "--format", "json"])

    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "anonvma-compare/1"
    assert (document["trusted"], document["regressed"]) == (True, True)
    assert [cell["verdict"] for cell in document["cells"]] == ["regressed"] * 2
    cell = document["cells"][0]
    assert cell["change_percent"]["value"] == pytest.approx(3, abs=0.05)
    assert (cell["first"]["boots"], cell["second"]["boots"]) == (3, 3)


def test_the_layout_of_mm_reviewers_has_their_columns(
    campaigns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["compare", BASELINE, SLOWER, "--format", "mm"])

    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["%stddev", "%change", "%stddev"]
    assert "+3.0" in lines[3]


def test_markdown_is_a_table(
    campaigns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["compare", BASELINE, "--format", "markdown"])

    rows = [r for r in capsys.readouterr().out.splitlines() if r.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert "against unnamed" in rows[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([BASELINE, "no-such"], "there are no records at results/no-such"),
        ([BASELINE, SAME, "--margin", "0"], "expected a percentage above 0"),
        ([BASELINE, SAME, "--variant", "odd"], "has no kernel called 'odd'"),
        ([BASELINE, "plain.txt"], "not a record"),
        ([BASELINE, "plain.parquet"], "is not Parquet"),
    ],
)
def test_what_cannot_be_compared_is_one_error(
    campaigns: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    (campaigns / "plain.txt").write_text("hello\nyou\n")
    (campaigns / "plain.parquet").write_text("hello\n")
    try:
        status: object = main(["compare", *arguments])
    except SystemExit as leaving:
        status = leaving.code

    err = capsys.readouterr().err
    assert status in (2, 3)
    assert words in err
    assert "Traceback" not in err
