import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import load
from harness.analysis.display.formats import per_vma, percent
from harness.analysis.report.contents import report_of, report_on
from harness.analysis.report.mail import render_mail
from harness.analysis.report.page import render_page
from tests.analysis.campaigns import (
    CLOCKS,
    DATA,
    SHIPPED,
    hostile_campaign,
    identity,
    page_of,
    shipped_report,
)

TEMPLATES = Path(__file__).parents[3] / "harness/analysis/report/templates"


class Elements(HTMLParser):
    """Every element of a page with its attributes, its text, and its figures."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of a kind."""
        both = zip(self.names, self.attributes, strict=True)
        return [attributes for name, attributes in both if name == tag]


def words_of(page: str) -> str:
    """The text of a page with every gap one blank."""
    return " ".join(Elements(page).text.split())


@pytest.mark.slow
def test_whatever_records_say_is_shown_as_text(tmp_path: Path) -> None:
    page = render_page(report_of(hostile_campaign(tmp_path / "c")))

    elements = Elements(page)
    assert "script" not in elements.names
    assert "<script>alert(1)</script> & $x_1$" in elements.text
    assert "\x1b" not in page
    for attributes in elements.attributes:
        assert not any(name.startswith("on") for name in attributes)


def test_figures_are_the_only_markup_that_no_template_has() -> None:
    source = "".join(path.read_text() for path in TEMPLATES.iterdir())
    assert not re.search(r"\bsafe\b|autoescape", source)
    room = TEMPLATES.parent
    users = [p.name for p in room.glob("*.py") if "Markup(" in p.read_text()]
    assert users == ["pictures.py"]


@pytest.mark.long
@pytest.mark.parametrize("name", [*SHIPPED, CLOCKS])
def test_a_page_stands_alone_and_each_figure_says_what_it_shows(name: str) -> None:
    text = page_of(name)

    page = Elements(text)
    # Names of XML, references within the page, and bitmaps in it fetch nothing.
    kept = text.replace("http://www.w3.org/", "").replace("url(#", "")
    for outside in ("http:", "https:", "url(", "@import", "src="):
        assert outside not in kept
    assert not {"script", "link", "img", "iframe"} & set(page.names)
    assert 'name="viewport"' in text
    assert page.names.count("svg") >= 2
    for figure in page.of("svg"):
        assert figure["role"] == "img"
        assert len(figure["aria-label"] or "") > 20
    assert page.names.count("figcaption") == page.names.count("figure")
    identifiers = [a["id"] or "" for a in page.attributes if "id" in a]
    # What is drawn twice alike has the same name in both figures.
    ours = [i for i in identifiers if not re.fullmatch(r"[a-z]+[0-9a-f]{10}", i)]
    assert len(ours) == len(set(ours))


@pytest.mark.parametrize("name", ["published-6.12-arm64", "lifecycle-6.12-arm64"])
def test_the_first_screen_has_question_answer_figure_and_check(name: str) -> None:
    report, text = shipped_report(name), page_of(name)

    first = text[text.index("<h1>") : text.index("<nav")]
    order = [first.index(part) for part in (
        report.answer.question, "<li>", "<svg", "A/A check:",
    )]  # fmt: skip
    assert order == sorted(order)
    assert first.count("<li>") == len(report.answer.sentences) == 3
    assert first.count("<figure") == 1
    assert "<table" not in first


@pytest.mark.long
@pytest.mark.parametrize("name", SHIPPED)
def test_every_recorded_metric_has_its_figures_in_page_and_mail(name: str) -> None:
    report = shipped_report(name)
    page = words_of(page_of(name))
    mail = " ".join(render_mail(report).split())

    recorded = set(map(str, report.evidence.frame["metric"].unique()))
    assert recorded == {metric.metric for metric in report.evidence.metrics}
    for metric in report.evidence.metrics:
        assert metric.aa_words in page
        assert metric.aa_words in mail
        for effect in metric.effects:
            assert percent(effect.percent) in page
            assert percent(effect.percent) in mail
            assert per_vma(effect.extra) in page
        for cost in metric.costs:
            told = per_vma(cost.per_vma).removeprefix("+")
            assert told in page
            assert told in mail


def test_what_all_rows_share_stands_once_above_them() -> None:
    text = page_of("lifecycle-6.12-arm64")

    heads = re.findall(r"<thead>.*?</thead>", text, re.DOTALL)
    assert all("VMAs</th>" not in head for head in heads if "unnamed," in head)
    assert "VMAs: 16,000; pages: 0/2; boots: 4" in text


def test_each_cell_of_a_table_has_its_column_for_narrow_pages() -> None:
    page = Elements(page_of("published-6.12-uml"))

    assert page.of("td")
    assert all(cell["data-label"] for cell in page.of("td"))


def frame_without(metric: str) -> pd.DataFrame:
    """A shipped campaign of which no sample of a metric is valid."""
    frame = load(DATA / "lifecycle-6.12-arm64.parquet")
    return frame.assign(valid=frame["valid"] & (frame["metric"] != metric))


@pytest.mark.long
def test_a_campaign_without_a_usable_fork_says_so() -> None:
    report = report_on(frame_without("fork"), identity())

    page = render_page(report)

    assert "There is no usable sample of fork" in page
    assert "There is no usable sample of fork" in render_mail(report)
    assert 'id="fork"' not in page
    assert 'id="exit_reap"' in page
