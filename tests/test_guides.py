"""README and the guides: what they show can be typed, and what they link to is there.

The command lines of ``anonvma`` are tried in tests/cli/test_every_command_line.py.
"""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from harness.campaign.plan import Plan, read_plan
from harness.kbuild.variant import read_variant
from harness.worker.measure import one_file
from tests.guides import GUIDES, RECORDS, with_generated

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
ALL_GUIDES = sorted(GUIDES.glob("*.md"))
DOCUMENTS = [
    README, *ALL_GUIDES,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "tests/README.md")),
]  # fmt: skip
MOST_LINES = 160

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    """A document as the tests call it."""
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    """The blocks of code of a document in a language."""
    return [
        text for kind, text in _FENCED.findall(path.read_text()) if kind == language
    ]


def anchors(path: Path) -> set[str]:
    """What a link to a heading of a document may end with."""
    prose = _FENCED.sub("", path.read_text())
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t).lower().replace(" ", "-") for t in titles}


def test_readme_is_a_front_door() -> None:
    assert len(README.read_text().splitlines()) <= MOST_LINES


def test_readme_links_to_every_guide() -> None:
    linked = {ROOT / target for target in _LINK.findall(README.read_text())}

    assert ALL_GUIDES
    assert {*ALL_GUIDES} <= linked


@pytest.mark.parametrize("path", ALL_GUIDES, ids=name_of)
def test_a_guide_says_which_question_it_answers_and_has_an_example(path: Path) -> None:
    title, empty, answers, *rest = path.read_text().splitlines()

    assert title.startswith("# ")
    assert not empty
    assert re.fullmatch(r"[A-Z].+\?", answers)
    assert "## A worked example" in rest
    assert blocks(path, "sh")


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(path: Path) -> None:
    for target in _LINK.findall(path.read_text()):
        if target.startswith("https://"):
            continue
        file, _, heading = target.partition("#")
        linked = (path.parent / file).resolve() if file else path

        assert linked.exists(), f"{name_of(path)} links to {target}"
        assert not heading or heading in anchors(linked), f"{target}: no such heading"


def test_the_schema_in_the_guide_is_that_of_the_code() -> None:
    guide = RECORDS.read_text()

    assert guide == with_generated(guide), "python -m tests.guides writes it again"


def lines_of_the_one_file() -> list[str]:
    """Every command line of anonvma.pyz that a document shows."""
    texts = [text for path in DOCUMENTS for text in blocks(path, "sh")]
    return sorted({*re.findall(r"python3 anonvma\.pyz (.+)", "\n".join(texts))})


@pytest.mark.parametrize("line", lines_of_the_one_file())
def test_a_line_of_the_one_file_can_be_meant(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("no kernel is asked here")

    monkeypatch.setattr(one_file, "kernel_facts", fail)
    monkeypatch.chdir(tmp_path)

    # What it asks the kernel for is asked after its words were understood.
    assert one_file.main(shlex.split(line, comments=True)) == 3


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_a_target_of_make_is_in_the_makefile(path: Path) -> None:
    text = path.read_text()
    there = {*re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M)}
    told = re.findall(r"`make ([a-z][a-z0-9-]*)\b[^`]*`", text)
    told += re.findall(r"^make ([a-z][a-z0-9-]*)\b", text, re.MULTILINE)

    assert {*told} - there == set()


def test_a_plan_and_a_variant_of_the_guides_can_be_read(tmp_path: Path) -> None:
    (plan,) = blocks(GUIDES / "measuring.md", "toml")
    (variant,) = blocks(GUIDES / "your-kernel.md", "toml")
    (tmp_path / "plan.toml").write_text(plan)
    (tmp_path / "strdup.toml").write_text(variant)

    assert read_plan(tmp_path / "plan.toml")["boots"] == 8
    shipped = read_variant(ROOT / "kernels/variants/strdup.toml")
    assert read_variant(tmp_path / "strdup.toml") == shipped


def test_the_defaults_in_the_guide_are_those_of_a_plan() -> None:
    guide = (GUIDES / "measuring.md").read_text()
    table = guide.partition("## What you can vary")[2].partition("\nNaming schemes")[0]
    rows = re.findall(r"^\| (`--[^|]+) \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE)
    names = {"variant": "variants", "base": "bases"}
    plan, told = Plan(), {}
    for options, defaults in rows:
        words = re.findall(r"`--([a-z-]+)`", options)
        values = defaults.split(", ") if len(words) > 1 else [defaults]
        for word, value in zip(words, values, strict=True):
            told[names.get(word, word.replace("-", "_"))] = value

    def shown(value: object) -> str:
        if isinstance(value, tuple):
            return ",".join(map(str, value))
        return f"{value:g}" if isinstance(value, float) else str(value)

    assert told == {name: shown(getattr(plan, name)) for name in told}
    assert told.keys() == {field.name for field in fields(Plan)}


def test_samples_are_read_as_the_guide_reads_them() -> None:
    (example,) = blocks(RECORDS, "python")
    shipped = ROOT / "notebooks/data/bystanders-6.12-arm64.parquet"
    written = "results/first/records.parquet"

    assert written in example
    exec(example.replace(written, str(shipped)), {})
