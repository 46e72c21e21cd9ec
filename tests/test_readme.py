"""The figures of README and of the guide to results are those of the data that comes
with us: picture, tables, text.

When data changes, ``make figures`` draws the picture anew, and a test that fails here
says what the text is to have.
"""

import re
from functools import cache
from pathlib import Path

import pytest

from harness.analysis import aa_checks, cell_costs, cell_effects, load, slopes
from harness.analysis.claims import Claim, Finding, answer_claims
from harness.analysis.comparison.compare import compare_campaigns, load_kernel
from harness.analysis.display import formats
from harness.analysis.effects import Effect, reductions
from harness.analysis.plots.story import FILES, LABEL, story_figure
from harness.analysis.plots.svg import svg_files
from harness.analysis.published import PUBLISHED_PERCENT
from harness.analysis.stats import Interval, Verdict
from harness.cli import main

ROOT = Path(__file__).parent.parent
DATA = ROOT / "notebooks/data"
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "harness/guides/reading-results.md").read_text()
# A command that reads shipped data, and what it printed; "..." stands for lines left
# out. No other command is run here.
_COMMAND = r"anonvma (?:show|report|compare) notebooks/data/[^`\n]+"
PRINTED = [
    *re.findall(rf"\n({_COMMAND})\n```\n\n.+:\n\n```\n((?s:.*?))```", GUIDE),
    *re.findall(rf"`({_COMMAND})`:\n\n```\n((?s:.*?))```", GUIDE),
]
UML, ARM = "published-6.12-uml", "published-6.12-arm64"


def section(text: str, title: str) -> str:
    """What stands under a heading of the second level, on one line."""
    under = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert under, f"there is no heading {title!r}"
    return " ".join(re.sub(r"```.*?```", "", under, flags=re.DOTALL).split())


ANSWER = section(README, "The answer")
MEASURED = section(GUIDE, "The measured answer")


@cache
def effects(name: str, metric: str = "fork") -> list[Effect]:
    return cell_effects(load(DATA / f"{name}.parquet"), margin=2, metric=metric)


def effect(
    name: str, vmas: int, store: str, length: int, metric: str = "fork"
) -> Effect:
    """The effect of a cell without written pages."""
    found = [
        e for e in effects(name, metric)
        if (e.arm.vmas, e.arm.store, e.arm.name_length, e.arm.written_pages)
        == (vmas, store, length, 0)
    ]  # fmt: skip
    assert len(found) == 1
    assert found[0].trusted
    return found[0]


def percent(estimate: Interval) -> str:
    return formats.spoken(estimate, formats.PERCENT, "%")


def value(estimate: Interval, places: int) -> str:
    return f"{estimate.value:.{places}f}"


def claims_rows() -> list[str]:
    """The rows of the first table: what was said, and both clocks beside it."""

    def told(name: str) -> dict[str, Claim]:
        return {claim.claim: claim for claim in answer_claims(effects(name))}

    time, counted = told(UML), told(ARM)
    assert {claim.finding for claim in counted.values()} == {Finding.NOT_TIME}
    assert all(claim.trusted for claim in counted.values())
    doubt = " (its A/A check does not hold)"
    return [
        f"| {claim} | {time[claim].finding.value}: {time[claim].measured_words}"
        f"{'' if time[claim].trusted else doubt} | {counted[claim].measured_words} |"
        for claim in time
    ]


def facts_of_the_published_cells() -> list[str]:
    shared = effect(UML, 65_536, "refcounted", 63).percent
    checks = aa_checks(load(DATA / f"{UML}.parquet"), margin=2)
    failed = [check for check in checks if not check.holds]
    assert [check.arm.vmas for check in failed] == [1_000]
    few = [
        e for e in effects(UML)
        if e.arm.store == "refcounted" and e.arm.vmas < 65_536
    ]  # fmt: skip
    assert {e.judged.verdict for e in few} == {Verdict.INCONCLUSIVE}
    assert all(e.percent.low < 0 < e.percent.high for e in few)
    copied = [effect(ARM, 65_536, "strdup", length).percent for length in (63, 79)]
    sharing = [effect(ARM, 65_536, "refcounted", n).percent for n in (63, 79)]
    assert len({value(each, formats.PERCENT) for each in sharing}) == 1
    each = [effect(ARM, vmas, "refcounted", 63).extra for vmas in (4_000, 65_536)]
    return [
        f"sharing them less: {percent(shared)} where "
        f"{PUBLISHED_PERCENT[0]['refcounted']} % was published",
        "With a few thousand VMAs, the interval of shared names includes both 0 and "
        "2 %, so this machine cannot decide",
        "The A/A check does not hold at 1,000 VMAs: two identical arms lie "
        f"{formats.spoken(failed[0].percent, formats.AA_PERCENT, '%')} apart there",
        "the fork of 65,536 VMAs without written pages execute "
        f"{value(copied[0], formats.PERCENT)} % to "
        f"{value(copied[1], formats.PERCENT)} % "
        f"more instructions, sharing them {value(sharing[0], formats.PERCENT)} %",
        f"With 4,000 VMAs a shared name costs {value(each[0], formats.PER_VMA)} "
        f"instructions, with 65,536 it costs {value(each[1], formats.PER_VMA)}:",
    ]


def facts_beyond() -> list[str]:
    lines = {s.arm: s for s in slopes(load(DATA / "scale-6.12-arm64.parquet"))}
    slope = {
        arm: formats.shown(line.per_vma, formats.PER_VMA, sign=False)
        for arm, line in lines.items()
    }
    ends = {arm: f"{line.line.linear_to:,}" for arm, line in lines.items()}
    assert ends["unnamed"] == ends["refcounted"]
    length = {
        store: {
            e.arm.name_length: e.extra.value
            for e in effects("length-6.12-arm64")
            if e.arm.store == store
        }
        for store in ("refcounted", "strdup")
    }
    low, high = (f(length["refcounted"].values()) for f in (min, max))
    least, most = (f(length["strdup"].values()) for f in (min, max))
    steps = [length["strdup"][n] - length["strdup"][n - 1] for n in (28, 60)]
    assert f"{steps[0]:.1f}" == f"{steps[1]:.1f}"
    bystanders = DATA / "bystanders-6.12-arm64.parquet"
    sides = [load_kernel(bystanders, kernel) for kernel in ("none", "refcount")]
    cell = compare_campaigns(*sides, margin=2).cells[-1]
    assert (cell.cell, cell.judged.verdict) == (
        "4000 VMAs, 0 pages, unnamed", Verdict.EQUIVALENT,
    )  # fmt: skip
    counted, timed = (
        {
            store: effect(name, 65_536, store, 63, "exit_reap").percent
            for store in ("strdup", "refcounted")
        }
        for name in (ARM, "published-6.1-uml")
    )
    named = {
        c.arm.store: formats.shown(c.per_vma, formats.PER_VMA, sign=False)
        for c in cell_costs(load(DATA / f"{ARM}.parquet"), margin=2, metric="name")
        if c.arm.layout == (65_536, 1, 0) and c.arm.name_length == 79 and c.trusted
    }
    return [
        f"One more VMA costs fork {slope['unnamed']} instructions unnamed, "
        f"{slope['refcounted']} with a shared name and {slope['strdup']} with a copied "
        f"one: a straight line up to {ends['unnamed']} VMAs, with copied names up to "
        f"{ends['strdup']} (",
        f"at any length: {low:.1f} to {high:.1f} instructions for 0 to 79 bytes. A "
        f"copied one costs from {least:.1f} to {most:.1f}, with a step of "
        f"{steps[0]:.1f} where its struct needs the next slab class (28 bytes, 60 "
        "bytes)",
        f"pay for the feature at fork: +{percent(cell.change)} with 4,000 VMAs, which "
        "is within the margin of 2 %",
        f"Names cost again at exit: +{percent(counted['strdup'])} instructions copied "
        f"and +{percent(counted['refcounted'])} shared, for 65,536 VMAs. In time, on "
        f"Linux 6.1, it is +{percent(timed['strdup'])} copied and "
        f"+{percent(timed['refcounted'])} shared",
        "To give each of 65,536 VMAs a name of 79 bytes takes "
        f"{named['refcounted']} instructions per VMA where names are shared and "
        f"{named['strdup']} where they are copied",
    ]


@cache
def facts() -> list[tuple[str, str]]:
    """Every sentence, or part of one, that has figures, and the text that has it."""
    measured = [*facts_of_the_published_cells(), *facts_beyond()]
    return [(ANSWER, fact) for fact in claims_rows()] + [
        (MEASURED, fact) for fact in measured
    ]


def test_the_picture_is_drawn_from_the_data() -> None:
    drawn = svg_files(story_figure(DATA), LABEL)

    for name, text in zip(FILES, drawn, strict=True):
        kept = (ROOT / "notebooks/figures" / name).read_text()
        assert kept == text, f"{name} is not that of the data: make figures"


def test_readme_shows_the_picture_above_its_first_table() -> None:
    picture = README[README.index("<picture>") : README.index("</picture>")]

    light, dark = (f"notebooks/figures/{name}" for name in FILES)
    assert f'media="(prefers-color-scheme: dark)" srcset="{dark}"' in picture
    assert f'src="{light}" alt="' in picture
    assert README.index("</picture>") < README.index("\n| ")


@pytest.mark.parametrize(("command", "block"), PRINTED, ids=[c for c, _ in PRINTED])
def test_a_table_is_what_its_command_prints(
    command: str, block: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(ROOT)
    assert main(command.split()[1:]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    at = 0
    for part in block.rstrip("\n").split("\n...\n"):
        lines = part.split("\n")
        found = [
            start
            for start in range(at, len(printed))
            if printed[start : start + len(lines)] == lines
        ]
        assert found, f"not printed by {command}:\n{part}"
        at = found[0] + len(lines)


def test_every_block_of_output_is_compared() -> None:
    languages = re.findall(r"^```(\w*)\n.*?^```$", GUIDE, re.MULTILINE | re.DOTALL)

    assert len(PRINTED) == languages.count("")


def test_both_clocks_have_their_table() -> None:
    mails = [command for command, _ in PRINTED if command.endswith(" --text")]

    assert [mail.split()[2].split("/")[-1] for mail in mails] == [
        f"{UML}.parquet", f"{ARM}.parquet",
    ]  # fmt: skip


def test_every_figure_of_the_text_is_that_of_the_data() -> None:
    for text, fact in facts():
        assert fact in text, f"README or the guide to results is to have: {fact}"


def test_the_example_says_what_its_line_has() -> None:
    shared = effect(UML, 65_536, "refcounted", 63)
    (times,) = [
        each.times.value for each in reductions(effects(UML))
        if (each.arm.vmas, each.arm.name_length) == (65_536, 63)
    ]  # fmt: skip
    extra = shared.extra

    text = section(GUIDE, "A worked example")
    for fact in (
        f"An unnamed fork of 65,536 VMAs took {shared.unnamed.value / 1e6:.2f} ms.",
        f"the fork took {value(extra, formats.PER_VMA)} ns longer per VMA.",
        f"over the boots is {extra.low:.1f} to {extra.high:.1f} ns.",
        f"That is {value(shared.percent, formats.PERCENT)} % of the unnamed fork.",
        f"published in 2021 is {PUBLISHED_PERCENT[0]['refcounted']} %.",
        f"cost {times:.1f} times as much as shared ones.",
    ):
        assert fact in text, f"the guide to results is to have: {fact}"


@pytest.mark.parametrize("text", [ANSWER, MEASURED], ids=["README", "the guide"])
def test_no_figure_of_the_text_is_unproved(text: str) -> None:
    text = re.sub(r"`[^`]*`", "", text)
    for _, fact in facts():
        text = text.replace(re.sub(r"`[^`]*`", "", fact), "")

    # Names, dates, and what was measured, which are no results.
    for known in ("2021", "x86-64", "ARM64", "6.12", "6.1", "margin of 2 %", "A/A"):
        text = text.replace(known, "")
    assert re.findall(r"\S*\d\S*", text) == []
