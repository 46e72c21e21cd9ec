import shlex
from pathlib import Path

import pytest

from harness.analysis.report.contents import report_of
from harness.analysis.report.mail import render_mail
from harness.analysis.report.page import render_page
from harness.cli import main
from harness.errors import UsageError
from harness.worker.measure import Record, Superseded
from tests.analysis.campaigns import DATA, campaign_of, planned
from tests.synthetic import run_of, whole_run, write_records


@pytest.mark.long
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
    for text in (render_mail(report), render_page(report)):
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
    folder = planned(write_records(tmp_path / "c", records))

    report = report_of(folder)

    assert not report.trusted
    page = render_page(report)
    assert page.index('class="alarm"') < page.index("<nav")
    mail = " ".join(render_mail(report).split())
    assert mail.index("DO NOT TRUST") < mail.index("samples of")


def test_what_was_measured_again_is_counted_apart(tmp_path: Path) -> None:
    records: list[Record] = []
    for boot in range(3):
        run = run_of(run=f"r{boot}", boot=boot)
        records += whole_run(run, [1000] * 3)
    records.append(Superseded(run="r1", reason="its guest was gone"))
    folder = planned(write_records(tmp_path / "c", records))

    told = " ".join(render_mail(report_of(folder)).split())

    # Of each run: a fork that is left out and three that are not, as many exits.
    assert "18 samples of 2 processes in 2 boots" in told
    assert "1 processes are left out: invalid, or measured again." in told
    assert "runs did not end" in told


@pytest.mark.long
def test_report_writes_its_page_here_and_mails_on_request(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    path = str(DATA / "lifecycle-6.12-arm64.parquet")

    assert main(["report", path]) == 0
    assert (tmp_path / "lifecycle-6.12-arm64.html").exists()
    assert main(["report", path, "--text"]) == 0
    assert "Subject: anon VMA names" in capsys.readouterr().out
    assert main(["report", path, "--text", "--out", "x"]) == 2
    assert main(["report", path, "--out", "no/such/folder.html"]) == 2
    assert "cannot write no/such/folder.html" in capsys.readouterr().err
    assert main(["report", path, "--out", "x.parquet"]) == 2
    assert "expected a file name that ends in .html" in capsys.readouterr().err


def test_what_is_no_campaign_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no records"):
        report_of(tmp_path / "none")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/records.jsonl").write_text("")
    with pytest.raises(UsageError, match="has no samples yet"):
        report_of(tmp_path / "c")
