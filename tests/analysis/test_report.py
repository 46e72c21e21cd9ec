import json
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.analysis.report import render_html, render_mail, report_of
from harness.cli import main
from harness.errors import UsageError
from harness.measure import Record, Superseded
from tests.synthetic import run_of, whole_run, write_records

DATA = Path(__file__).parents[2] / "notebooks/data"
HOSTILE = "<script>alert(1)</script> & $x_1$ \x1b[2J"


class Elements(HTMLParser):
    """Every element of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def campaign_of(folder: Path, command: list[str]) -> Path:
    """A campaign of one boot that such a command made."""
    write_records(folder, whole_run(run_of(), [1000] * 3))
    document = {"plan": {"margin": 2.0}, "command": command, "began": ""}
    (folder / "plan.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A campaign whose every word is an attack."""
    records: list[Record] = []
    for boot in range(2):
        for position, naming in enumerate(["none", "none", "distinct:79"]):
            run = run_of(
                run=f"{boot}-{position}", naming=naming, boot=boot, position=position,
                vmas=65_536,
            )  # fmt: skip
            run = replace(
                run, variant=HOSTILE, cpu=HOSTILE, kernel_version=HOSTILE,
                kernel_release=HOSTILE, machine=HOSTILE, accelerator=HOSTILE,
            )  # fmt: skip
            records += whole_run(run, [1000 + position] * 3)
    folder = write_records(tmp_path / "c", records)
    document = {
        "plan": {"margin": 2.0}, "command": ["anonvma", HOSTILE], "began": HOSTILE,
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(document))
    return folder


@pytest.mark.slow
def test_whatever_records_say_is_shown_as_text(hostile: Path) -> None:
    report = report_of(hostile)

    page = Elements(render_html(report))
    assert "script" not in page.names
    assert "<script>alert(1)</script> & $x_1$" in page.text
    mail = render_mail(report)
    assert mail.isascii()
    assert "\x1b" not in mail


@pytest.mark.slow
def test_the_page_of_the_data_that_comes_with_us_stands_alone() -> None:
    text = render_html(report_of(DATA / "published-6.12-arm64.parquet"))

    page = Elements(text)
    # Names of XML, and references within the page, fetch nothing.
    kept = text.replace("http://www.w3.org/", "").replace("url(#", "")
    for outside in ("http:", "https:", "url(", "@import", "src="):
        assert outside not in kept
    assert not {"script", "link", "img", "iframe"} & set(page.names)
    assert 'name="viewport"' in text
    # First whether anything can be believed, then what was claimed.
    order = [page.text.index(words) for words in (
        "Two identical arms", "What was claimed in 2021", "The published cells",
        "Every cell", "What to distrust", "Machine, kernels, commands",
    )]  # fmt: skip
    assert order == sorted(order)
    assert page.names.count("svg") == 3


def test_the_mail_has_the_claims() -> None:
    mail = render_mail(report_of(DATA / "published-6.12-arm64.parquet"))

    assert "not a clock of time: copying names makes fork of 64K VMAs up to" in mail
    assert "anonvma run --campaign published" in mail
    # What two identical arms differ by is told of each layout.
    told = mail[mail.index("One over the other") : mail.index("What was claimed")]
    assert told.count(" VMAs ") == 6


@pytest.mark.parametrize("data", ["published-6.12-arm64", "scale-6.12-arm64"])
def test_a_mail_has_72_columns(data: str) -> None:
    mail = render_mail(report_of(DATA / f"{data}.parquet"))

    assert max(map(len, mail.splitlines())) <= 72


@pytest.mark.parametrize("word", ["x", "it's", "a b c", "'" * 50, "1,2,3," * 40])
@pytest.mark.parametrize("count", [1, 30])
def test_a_command_in_a_mail_is_one_for_a_shell(
    word: str, count: int, tmp_path: Path
) -> None:
    command = ["anonvma", "run", *[word] * count]
    folder = campaign_of(tmp_path / "c", command)

    mail = render_mail(report_of(folder))

    assert max(map(len, mail.splitlines())) <= 72
    told = mail[mail.index("anonvma run") :].replace("\\\n", "")
    assert shlex.split(told) == [*command, "anonvma", "report", "c"]


def test_without_a_plan_the_default_margin_is_said_to_be_it(tmp_path: Path) -> None:
    folder = campaign_of(tmp_path / "c", [])
    (folder / "plan.json").unlink()

    report = report_of(folder)

    words = "measured elsewhere, without a plan: 2 % is the default margin"
    for text in (render_mail(report), render_html(report)):
        assert words in " ".join(text.replace("\n#", "").split())


def test_a_campaign_whose_identical_arms_differ_says_so_first(tmp_path: Path) -> None:
    records: list[Record] = []
    for boot in range(2):
        for position, (naming, cost) in enumerate(
            [("none", 1000), ("none", 1100), ("distinct:79", 1200)]
        ):
            run = run_of(
                run=f"{boot}-{position}", naming=naming, boot=boot, position=position
            )
            records += whole_run(run, [cost] * 3)
    folder = write_records(tmp_path / "c", records)
    plan = {"plan": {"margin": 2.0}, "command": ["anonvma"], "began": ""}
    (folder / "plan.json").write_text(json.dumps(plan))

    report = report_of(folder)

    assert not report.trusted
    assert 'class="alarm"' in render_html(report)
    assert "NOT TO BE TRUSTED" in " ".join(render_mail(report).split())


def test_what_was_measured_again_is_counted_apart(tmp_path: Path) -> None:
    records: list[Record] = []
    for boot in range(3):
        run = run_of(run=f"r{boot}", boot=boot)
        records += whole_run(run, [1000] * 3)
    records.append(Superseded(run="r1", reason="its guest was gone"))
    folder = write_records(tmp_path / "c", records)
    plan = {"plan": {"margin": 2.0}, "command": ["anonvma"], "began": ""}
    (folder / "plan.json").write_text(json.dumps(plan))

    mail = " ".join(render_mail(report_of(folder)).split())

    assert "18 samples of 2 processes in 2 boots" in mail
    assert "Left aside are 1 processes" in mail


def test_the_command_writes_a_page_and_prints_a_mail(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    path = str(DATA / "bystanders-6.12-arm64.parquet")

    assert main(["report", path]) == 0
    assert (tmp_path / "bystanders-6.12-arm64.html").exists()
    assert main(["report", path, "--text"]) == 0
    assert "Subject: anon VMA names" in capsys.readouterr().out
    assert main(["report", path, "--text", "--out", "x"]) == 2
    assert main(["report", path, "--out", "no/such/folder.html"]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["report", path, "--out", "x.parquet"]) == 2
    assert "expected a name that ends in .html" in capsys.readouterr().err


def test_what_is_no_campaign_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no records"):
        report_of(tmp_path / "none")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/records.jsonl").write_text("")
    with pytest.raises(UsageError, match="has no samples yet"):
        report_of(tmp_path / "c")
