import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.worker.measure import Record, Run, Sample
from tests.synthetic import run_of, sealed, whole_run, write_records

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
        (UNEVEN, 5, "NO VERDICT BELOW CAN BE TRUSTED"),
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
    assert document["schema"] == "anonvma-compare/2"
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


def planned(campaigns: Path, name: str, margin: float) -> None:
    """Give a campaign a plan that has this margin."""
    plan = {"plan": {"margin": margin}, "command": ["anonvma"], "began": ""}
    (campaigns / "results" / name / "plan.json").write_text(json.dumps(plan))


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([BASELINE], "margin: 5 %, chosen beforehand, in the plan"),
        ([BASELINE, SAME], "margin: 5 %, chosen beforehand, in the plan"),
        ([SAME], "margin: 2 %, the default, because there is no plan"),
        ([BASELINE, "--margin", "3"], "margin: 3 %, given with --margin"),
    ],
)
def test_the_margin_is_the_plan_s_and_whose_it_is_is_said(
    campaigns: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    planned(campaigns, BASELINE, 5)

    for form in ("text", "markdown", "mm"):
        main(["compare", *arguments, "--format", form])
        assert words in capsys.readouterr().out


def test_two_plans_of_other_margins_need_one_that_is_given(
    campaigns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned(campaigns, BASELINE, 5)
    planned(campaigns, SAME, 1)

    assert main(["compare", BASELINE, SAME]) == 2
    assert "1 % and 5 %: give --margin" in capsys.readouterr().err
    assert main(["compare", BASELINE, SAME, "--margin", "3"]) == 0


def test_a_plan_that_cannot_be_read_has_no_margin(
    campaigns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (campaigns / "results" / BASELINE / "plan.json").write_text("{}")

    assert main(["compare", BASELINE]) == 2
    assert "does not identify a campaign" in capsys.readouterr().err


def odd_campaign(at: Path, unit: str, fact: str, value: int | str) -> None:
    """A campaign of which the first boot's named and unnamed runs cannot be."""
    records: list[Record] = []
    for boot in range(3):
        for position, naming in enumerate(["none", "none", "distinct:79"]):
            run = run_of(
                run=f"{boot}-{position}", naming=naming, boot=boot, position=position,
                unit=unit,
            )  # fmt: skip
            odd: list[Run | Sample] = []
            for record in whole_run(run, [1000 + boot, 1001 + boot])[:-1]:
                assert isinstance(record, Run | Sample)
                changed: dict[str, Any] = {fact: value}
                has = hasattr(record, fact) and boot == 0
                odd.append(replace(record, **changed) if has else record)
            records += sealed(odd)
    write_records(at / "results/odd", records)
    planned(at, "odd", 2)


@pytest.mark.long
@pytest.mark.parametrize("unit", ["insns", "ns"])
@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("value", 0),
        ("value", 2**63 - 1),
        ("vmas", 0),
        ("vmas", -5),
        ("store", "absent"),
    ],
)
def test_records_that_cannot_be_are_no_accident(
    campaigns: Path,
    capsys: pytest.CaptureFixture[str],
    unit: str,
    fact: str,
    value: int | str,
) -> None:
    odd_campaign(campaigns, unit, fact, value)

    assert main(["compare", "odd", "--format", "json"]) in (0, 1, 5)
    shown = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [cell["second"]["boots"] for cell in shown["cells"]] == [2]
    assert main(["show", "odd"]) == 0
    assert "impossible samples left out" in capsys.readouterr().out
    assert main(["report", "results/odd", "--text"]) == 0


def test_one_boot_is_told_by_its_range_and_no_number_in_json_is_none(
    campaigns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "other"):
        run = run_of(run=name, unit="ns")
        write_records(campaigns / "results" / name, whole_run(run, [1000, 1001]))

    main(["compare", "one", "other", "--format", "json"])
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    main(["compare", "one", "other"])
    text = capsys.readouterr().out

    (cell,) = told["cells"]
    assert cell["change_percent"]["interval"] == "range"
    assert cell["first"]["stddev"] is None
    assert "[]: range of the boots" in text
    assert "1 cells have no pair of identical arms with fork: NO VERDICT BELOW" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([BASELINE, "no-such"], "there is no campaign and no path called no-such"),
        ([BASELINE, SAME, "--margin", "0"], "expected a percentage above 0"),
        ([BASELINE, SAME, "--variant", "odd"], "has no kernel called 'odd'"),
        ([BASELINE, SAME, "--base", "5.0"], "no base called '5.0'; it has 6.12"),
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


def test_two_bases_of_one_campaign_are_compared(
    campaigns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records: list[Record] = []
    for base, cost in (("6.12", 1_000_000), ("6.1", 2_000_000)):
        for boot in range(2):
            for position, naming in enumerate(["none", "none", "distinct:79"]):
                run = run_of(
                    run=f"{base}-{boot}-{position}", base=base, boot=boot,
                    position=position, naming=naming,
                )  # fmt: skip
                records += whole_run(run, [cost + 10_000 * (naming != "none")] * 3)
    write_records(campaigns / "results/both", records)

    assert main(["compare", "both", "same"]) == 2
    assert "(switch 6.1, switch 6.12)" in capsys.readouterr().err
    assert main(["compare", "both", "--base", "6.1,6.12"]) == 0
    assert "improved" in capsys.readouterr().out
    effects = ["both", "--base", "6.1,6.12", "--effects", "--format", "json"]
    assert main(["compare", *effects]) == 0
    document = json.loads(capsys.readouterr().out)
    (cell,) = document["cells"]
    assert document["form"] == "effects"
    assert (cell["first"]["value"], cell["second"]["value"]) == (10, 10)
    assert (cell["difference_per_vma"]["value"], cell["verdict"]) == (0, "equivalent")
