"""A cell has one effect: wherever it leaves the project, it is the same number."""

import html
import json
import re
from pathlib import Path

import pytest

from harness.analysis import Effect, cell_effects, load
from harness.analysis.display import formats
from harness.analysis.records.provenance import margin_of
from harness.cli.main import main

DATA = Path(__file__).parents[2] / "notebooks/data"
CAMPAIGNS = sorted(path.stem for path in DATA.glob("*.parquet"))


def effects_of(campaign: str) -> list[Effect]:
    """The effects of a shipped campaign."""
    path = DATA / f"{campaign}.parquet"
    return cell_effects(load(path), margin=margin_of(path) or 2.0)


def words(text: str) -> str:
    """A text with each stretch of space as one."""
    return " ".join(text.split())


@pytest.fixture(params=CAMPAIGNS)
def campaign(request: pytest.FixtureRequest) -> str:
    """A campaign that comes with us, by name."""
    return str(request.param)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints."""
    main(list(arguments))
    return capsys.readouterr().out


def count(numbers: list[str], text: str) -> dict[str, int]:
    """How often each of the numbers is in a text."""
    return {number: text.count(number) for number in numbers}


@pytest.mark.long
def test_tables_mail_and_page_print_every_effect(
    campaign: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found, path = effects_of(campaign), str(DATA / f"{campaign}.parquet")
    percents = [formats.percent(effect.percent) for effect in found]
    extras = [formats.per_vma(effect.extra) for effect in found]
    page = tmp_path / "page.html"

    table = words(printed(capsys, "show", path))
    mail = words(printed(capsys, "report", path, "--text"))
    printed(capsys, "report", path, "--out", str(page))
    text = html.unescape(re.sub(r"<[^>]+>", " ", page.read_text()))

    wanted = count(percents, " ".join(percents))
    for place in (table, mail, words(text)):
        assert {n: c for n, c in count(percents, place).items() if c < wanted[n]} == {}
    for place in (table, words(text)):
        assert [extra for extra in extras if extra not in place] == []


@pytest.mark.long
@pytest.mark.parametrize("campaign", [c for c in CAMPAIGNS if "bystanders" not in c])
def test_compare_has_the_effects_that_the_tables_have(
    campaign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, path = effects_of(campaign), str(DATA / f"{campaign}.parquet")

    told = json.loads(printed(capsys, "compare", path, "--format", "json"))

    assert [
        (cell["change_percent"][end], cell["verdict"])
        for cell in told["cells"]
        for end in ("value", "low", "high")
    ] == [
        (getattr(effect.percent, end), effect.judged.verdict.value)
        for effect in found
        for end in ("value", "low", "high")
    ]
