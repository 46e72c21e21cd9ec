"""Records and traces from elsewhere, shown by every command that shows them."""

import json
import signal
from collections.abc import Iterator
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.campaign import Plan
from harness.cli import main
from harness.worker.measure import Record, Run, Sample
from tests.synthetic import run_of, samples_of, sealed, write_records
from tests.torture.fuzz_text import DATA, RECORDED

STEERING = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\r\na\nanvma: b\0"
MARKUP = "[red]x[/] [/] [link=http://x]y[/link] :bomb: $\\frac{"
TAGS = "<script>alert(1)</script></td></table>a|b../../../x{0}%s`" + "x" * 300
HOSTILE = (STEERING, MARKUP, TAGS)

# What a campaign says in words that are not ours, run by run.
FIELDS = (
    "campaign", "session", "boot_id", "variant", "base", "target", "machine",
    "accelerator", "clock", "cpu", "kernel_release", "kernel_version", "build_id",
    "config_sha256", "settings", "python", "harness", "launched",
)  # fmt: skip


def hostile_records(text: str) -> list[Record]:
    records: list[Record] = []
    for boot, cost in enumerate([1000, 1001, 1002]):
        for position, naming in enumerate(["none", "none", "shared:8"]):
            run = run_of(
                run=f"{boot}-{position}", boot=boot, position=position, naming=naming
            )
            # Any: each of these fields is text.
            words: dict[str, Any] = {n: f"{getattr(run, n)}{text}" for n in FIELDS}
            made = replace(run, **words)
            forks = [cost + position // 2 * 500] * 3
            samples = samples_of(made, forks)
            bad = replace(samples[-1], order=99, valid=False, reason=text)
            records += sealed([made, *samples, bad])
    return records


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def campaign_of(here: Path, text: str) -> Path:
    folder = write_records(here / "results/c", hostile_records(text))
    document = {
        "plan": asdict(Plan()), "command": ["anonvma", f"run{text}"], "harness": text,
        "began": text,
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(document))
    return folder


def said_by(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    status = main(line)
    out, err = capsys.readouterr()
    said = out + err
    assert status in (0, 1, 2, 5, 6), said
    assert "Traceback" not in said
    assert not {c for c in said if c != "\n" and not c.isprintable()}
    return said


@pytest.mark.long
@pytest.mark.parametrize("text", HOSTILE, ids=["steering", "markup", "tags"])
@pytest.mark.parametrize(
    "command",
    [
        ["show", "c"], ["compare", "c", "c"], ["compare", "c"],
        ["compare", "c", "c", "--format", "markdown"],
        ["compare", "c", "c", "--format", "mm"],
        ["compare", "c", "c", "--format", "json"], ["report", "c", "--text"],
        ["import", "results/c/records.jsonl", "--name", "d"],
        ["export", "c", "c.parquet"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_nothing_in_records_steers_a_terminal(
    command: list[str], text: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign_of(here, text)

    said_by(command, capsys)


def test_markup_in_records_is_shown_as_it_is(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign_of(here, MARKUP)

    assert MARKUP in said_by(["show", "c"], capsys)
    assert MARKUP in said_by(["compare", "c", "c"], capsys)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str | None] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "a":
            self.links.add(dict(attrs).get("href"))
        if tag == "section":
            self.anchors.add(f"#{dict(attrs)['id']}")


@pytest.mark.long
@pytest.mark.parametrize("text", HOSTILE, ids=["steering", "markup", "tags"])
def test_a_page_has_no_tags_of_its_records(
    text: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign_of(here, text)
    said_by(["report", "c"], capsys)
    content = (here / "c.html").read_text()
    page = _Page()
    page.feed(content)

    assert not page.tags & {"script", "img", "iframe", "object"}
    # Links lead to the page's own sections and nowhere else.
    assert page.links == page.anchors
    assert not {name for name in page.attributes if name.startswith("on")}
    assert "\x1b" not in content


@pytest.mark.long
@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "..", "con\0sole"])
def test_records_are_written_into_their_campaign_whatever_they_are_called(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replace(run_of(run=name), campaign=name, session=name, boot_id=name)
    write_records(here / "from", sealed([run, *samples_of(run, [1000])]))
    before = {p for p in here.parent.rglob("*") if "results" not in p.parts}

    said_by(["import", "from/records.jsonl", "--name", "d"], capsys)
    said_by(["show", "d"], capsys)

    assert {p for p in here.parent.rglob("*") if "results" not in p.parts} == before
    made = sorted(str(p.relative_to(here)) for p in (here / "results").rglob("*"))
    assert made == [
        "results/d", "results/d/records.jsonl", "results/d/records.parquet",
    ]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=["steering", "markup", "tags"])
def test_nothing_in_a_trace_steers_a_terminal(
    text: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = json.loads((DATA / RECORDED).read_bytes())
    kernel = {**recording["kernel"], "release": f"6.12{text}", "version": text}
    recording |= {"kernel": kernel, "note": text}
    recording["seen"][2] = [*recording["seen"][2], [f"BUG: {text}"]]
    (here / "trace.jsonl").write_text(json.dumps(recording) + "\n")

    said = said_by(["replay", "trace.jsonl"], capsys)

    assert "1 diverged" in said


@pytest.mark.long
@pytest.mark.parametrize("odd", [0, -1, 2**63 - 1])
@pytest.mark.parametrize("field", ["value", "vmas", "written_pages", "name_length"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_numbers_that_no_kernel_counts_end_well(
    field: str, odd: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records: list[Run | Sample] = []
    made: list[Record] = []
    for record in hostile_records(""):
        if isinstance(record, Run | Sample):
            has = hasattr(record, field)
            # Any: the field is one of those that are numbers.
            changed: dict[str, Any] = {field: odd} if has else {}
            records.append(replace(record, **changed))
        else:
            made += sealed(records)
            records = []
    folder = campaign_of(here, "")
    write_records(folder, made)

    said_by(["show", "c"], capsys)
    said_by(["compare", "c"], capsys)
    said_by(["report", "c", "--text"], capsys)
