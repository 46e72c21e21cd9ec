import re
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import load, reductions
from harness.analysis.display import formats
from harness.analysis.report.answer import answer_of
from harness.analysis.report.contents import report_of, report_on
from harness.analysis.report.listing import (
    claims_listings,
    costs_listings,
    effects_listings,
    slopes_listings,
)
from harness.analysis.report.topic import Topic, main_cell
from harness.worker.measure import Record
from tests.analysis.campaigns import (
    DATA,
    SHIPPED,
    campaign_of,
    clocks_report,
    identity,
    planned,
    shipped_report,
)
from tests.synthetic import run_of, whole_run, write_records

# An estimate as sentences have it, and its interval as tables do.
ESTIMATE = re.compile(r"(-?[\d,.]+) (%|insns|ns|times) (\[[^\]]+\])")
TOPICS = {
    "bystanders-6.12-arm64": Topic.UNNAMED,
    "length-6.12-arm64": Topic.LENGTH,
    "lifecycle-6.12-arm64": Topic.LIFECYCLE,
    "published-6.1-arm64": Topic.PUBLISHED,
    "published-6.1-uml": Topic.PUBLISHED,
    "published-6.12-arm64": Topic.PUBLISHED,
    "published-6.12-uml": Topic.PUBLISHED,
    "scale-6.12-arm64": Topic.SCALE,
    "sharing-6.12-arm64": Topic.SHARING,
}


@pytest.mark.long
@pytest.mark.parametrize("name", SHIPPED)
def test_each_campaign_is_asked_what_it_was_measured_for(name: str) -> None:
    report = shipped_report(name)

    assert report.evidence.topic is TOPICS[name]
    assert report.answer.question == TOPICS[name].value
    assert len(report.answer.sentences) == 3


@pytest.mark.long
@pytest.mark.parametrize("name", [n for n in SHIPPED if not n.startswith("bystanders")])
def test_every_figure_of_a_sentence_stands_in_a_table_too(name: str) -> None:
    evidence = shipped_report(name).evidence
    told = [*claims_listings(evidence.claims), *slopes_listings(evidence.slopes)]
    for metric in evidence.metrics:
        told += [*effects_listings(metric), *costs_listings(metric)]
    cells = {cell for listing in told for row in listing.rows for cell in row}
    times = {formats.times(each.times) for each in reductions(evidence.effects("fork"))}

    for sentence in shipped_report(name).answer.sentences:
        figures = ESTIMATE.findall(sentence)
        assert figures
        for value, unit, interval in figures:
            forms = {f"{sign}{value} {interval}" for sign in ("", "+")}
            forms.add(f"{value} {unit} {interval}")
            assert forms & (cells | times), sentence


def test_kernels_with_names_are_held_against_the_one_without() -> None:
    first, slopes, last = shipped_report("bystanders-6.12-arm64").answer.sentences

    for kernel in ("refcount", "strdup", "switch"):
        assert f"on {kernel} (within the margin of 2 %)" in first
        assert f"on {kernel}" in slopes
    assert "an unnamed exit_reap" in last


def test_time_speaks_before_instructions_and_alone_of_the_claims() -> None:
    for sentence in clocks_report().answer.sentences:
        time, counted = sentence.index("uml x86_64"), sentence.index("qemu aarch64")
        assert time < counted
        assert "published in 2021" in sentence[:counted]
        assert "published" not in sentence[counted:]


def test_what_its_check_speaks_against_is_said_beside_it() -> None:
    _, besides, naming = shipped_report("lifecycle-6.12-arm64").answer.sentences

    doubt = "(do not trust this: its A/A check does not hold)"
    assert re.search(rf"to exit_reap {re.escape(doubt)}", besides)
    assert "to split and" in besides
    assert naming.endswith("no A/A check was made.")


def test_sentences_change_with_the_samples() -> None:
    frame = load(DATA / "lifecycle-6.12-arm64.parquet")
    named = frame["naming"] != "none"
    dearer = frame.assign(value=frame["value"].where(~named, frame["value"] * 3))

    usual = shipped_report("lifecycle-6.12-arm64").answer.sentences
    changed = report_on(dearer, identity()).answer.sentences

    assert len(changed) == 3
    assert not set(usual) & set(changed)


def test_one_unnamed_process_is_said_to_be_no_more_than_that(tmp_path: Path) -> None:
    report = report_of(campaign_of(tmp_path / "c", ["anonvma"]))

    assert report.answer.question == Topic.UNNAMED.value
    assert report.answer.sentences == (
        "An unnamed fork of 1,000 VMAs costs 1,000 insns [1,000, 1,000] on switch "
        "(no A/A check was made).",
    )


def test_a_campaign_of_one_store_answers_with_what_it_has(tmp_path: Path) -> None:
    records: list[Record] = []
    for boot in range(2):
        for position, naming in enumerate(["none", "none", "distinct:79"]):
            run = run_of(
                run=f"{boot}-{position}", naming=naming, boot=boot, position=position
            )
            records += whole_run(run, [1000 + 100 * (naming != "none")] * 3)
    folder = planned(write_records(tmp_path / "c", records))

    first, *_ = report_of(folder).answer.sentences

    assert first.startswith(
        "A fork of 1,000 VMAs with shared names executes 10.00 % [10.00, 10.00] more "
        "instructions than one without names"
    )


def test_the_cell_that_speaks_has_both_stores_though_a_larger_one_has_not() -> None:
    effects = shipped_report("scale-6.12-arm64").evidence.effects("fork")

    told = main_cell(effects, "insns")

    assert [effect.arm.store for effect in told] == ["strdup", "refcounted"]
    assert {effect.arm.vmas for effect in told} == {262_144}
    assert max(effect.arm.vmas for effect in effects) == 1_048_576
    assert main_cell(effects, "ns") == []


def test_nothing_is_said_of_nothing() -> None:
    frame = load(DATA / "lifecycle-6.12-arm64.parquet")
    empty: pd.DataFrame = frame.assign(valid=False)

    report = report_on(empty, identity())

    assert answer_of(report.evidence).sentences == ()
