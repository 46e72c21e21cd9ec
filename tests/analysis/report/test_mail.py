from pathlib import Path

import pytest

from harness.analysis.report.contents import report_of
from harness.analysis.report.mail import render_mail
from tests.analysis.campaigns import SHIPPED, hostile_campaign, shipped_report


def test_the_mail_answers_first_then_has_the_claims_and_every_layout() -> None:
    mail = render_mail(shipped_report("published-6.12-arm64"))

    assert "not a clock of time: copying names makes fork of 64K VMAs up to" in mail
    assert "anonvma run --campaign published" in mail
    order = [mail.index(words) for words in (
        "\n\nWhat does a named anonymous VMA cost", "\n* A fork of 65,536 VMAs",
        "\nA/A: Identical arms", "\nThe claims of 2021", "\nFork\n----",
    )]  # fmt: skip
    assert order == sorted(order)
    # Each layout has the difference of its identical arms.
    told = mail[
        mail.index("Difference of two identical arms") : mail.index("\nNaming\n")
    ]
    assert told.count("0  ") + told.count("1  ") + told.count("10  ") >= 6


@pytest.mark.parametrize("name", SHIPPED)
def test_a_mail_has_72_columns_of_plain_ascii_and_every_metric(name: str) -> None:
    report = shipped_report(name)

    mail = render_mail(report)

    assert max(map(len, mail.splitlines())) <= 72
    assert mail.isascii()
    assert mail.replace("\n", "").isprintable()
    for metric in report.evidence.metrics:
        assert f"\n{metric.title}\n{'-' * len(metric.title)}\n" in mail


def test_whatever_records_say_is_plain_ascii_of_72_columns(tmp_path: Path) -> None:
    mail = render_mail(report_of(hostile_campaign(tmp_path / "c")))

    assert mail.isascii()
    assert "\x1b" not in mail
    assert max(map(len, mail.splitlines())) <= 72
