from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import load, usable
from harness.analysis.answers import answers, null_effects, reductions, slopes
from harness.analysis.claims import answer_claims
from harness.analysis.plots import (
    plot_effects,
    plot_lengths,
    plot_nulls,
    plot_order,
    plot_slopes,
    svg_of,
)
from harness.analysis.tidy import (
    answers_table,
    noise_table,
    nulls_table,
    published_table,
    slopes_table,
)

DATA = Path(__file__).parents[2] / "notebooks/data"
PUBLISHED = load(DATA / "published-6.12-arm64.parquet")
SHARING = load(DATA / "sharing-6.12-arm64.parquet")
LENGTH = load(DATA / "length-6.12-arm64.parquet")


def test_the_published_cells_stand_beside_ours() -> None:
    table = published_table(answers(PUBLISHED, margin=2))

    assert len(table) == 12
    assert set(table["2021, percent"]) == {39.51, 12.16, 15.31, 6.52, 14.13, 5.39}
    copied = table[(table["store"] == "strdup") & (table["pages"] == 0)]
    assert copied["measured, percent"].between(25, 27).all()


def test_identical_arms_of_65536_vmas_lie_within_a_twentieth_of_a_percent() -> None:
    nulls = null_effects(PUBLISHED, margin=2)

    table = nulls_table(nulls)

    assert list(table["VMAs"]) == [4_000] * 3 + [65_536] * 3
    assert table["holds"].all()
    large = [null for null in nulls if null.vmas == 65_536]
    assert max(abs(p) for null in large for p in null.by_boot) < 0.05


def test_claims_are_answered_from_the_data_that_comes_with_us() -> None:
    told = answer_claims(answers(PUBLISHED, margin=2), margin=2)

    findings = [claim.finding.value for claim in told]
    assert findings == ["confirmed", "refuted", "confirmed"]
    assert all(claim.trusted for claim in told)


def test_every_cell_has_a_verdict_and_every_sample_is_counted() -> None:
    table = answers_table(answers(SHARING, margin=2))

    assert set(table["verdict"]) <= {"regressed", "equivalent", "inconclusive"}
    assert len(table) == 18
    noise = noise_table(PUBLISHED)
    assert noise["samples"].sum() == len(usable(PUBLISHED, "fork"))


def test_what_was_measured_again_is_no_noise() -> None:
    gone = SHARING["run"] == SHARING["run"].iloc[0]
    left = SHARING.assign(run_valid=SHARING["run_valid"] & ~gone)

    lost = noise_table(SHARING)["samples"].sum() - noise_table(left)["samples"].sum()

    assert lost == len(usable(SHARING[gone], "fork")) > 0


def test_a_shared_name_costs_the_same_at_any_length_and_a_copied_one_more() -> None:
    found = answers(LENGTH, margin=2)
    by_store = {
        store: {a.name_length: a.extra.value for a in found if a.store == store}
        for store in ("refcounted", "strdup")
    }

    shared = by_store["refcounted"].values()
    assert max(shared) - min(shared) < 1.5
    copied = by_store["strdup"]
    assert copied[79] > copied[28] > copied[0]


def test_slopes_are_those_of_a_straight_line() -> None:
    found = slopes(SHARING)

    table = slopes_table(found)

    assert set(table["arm"]) == {"unnamed", "refcounted", "strdup"}
    assert (table["linear to"] == 65_536).all()
    named = table[table["names"].isin(["", "distinct:79"])]
    slope = dict(zip(named["arm"], named["a VMA"], strict=True))
    assert slope["unnamed"] < slope["refcounted"] < slope["strdup"]


def test_each_way_to_name_has_a_line_of_its_own() -> None:
    dearer = SHARING.copy()
    dearer.loc[dearer["naming"] == "shared", "value"] *= 3

    usual, changed = (
        {slope.words: slope.line.slope for slope in slopes(frame)}
        for frame in (SHARING, dearer)
    )

    assert len(usual) == 7
    assert {words for words in usual if usual[words] != changed[words]} == {
        "refcounted shared:79", "strdup shared:79",
    }  # fmt: skip


def test_a_place_with_shorter_names_keeps_its_lines() -> None:
    here = SHARING.astype({"machine": "str", "session": "str", "run": "str"})
    there = here.assign(
        machine="x86_64", session="there", run=here["run"] + "-there",
        name_length=here["name_length"].replace(79, 63),
    )  # fmt: skip

    found = slopes(pd.concat([here, there]))

    assert sorted(s.words for s in found if s.place.machine == "x86_64") == sorted(
        s.words.replace("79", "63") for s in found if s.place.machine == "aarch64"
    )


def test_ratios_are_of_boots_that_have_both_stores() -> None:
    cells = PUBLISHED[(PUBLISHED["vmas"] == 65_536) & (PUBLISHED["written_pages"] == 0)]
    # A boot of both stores that would be paired with another one by its position.
    slow = (cells["boot"] == 2) & (cells["naming"] != "none")
    cells = cells.assign(value=cells["value"].where(~slow, cells["value"] * 2))
    named = cells["naming"] != "none"
    lost = named & (
        ((cells["store"] == "strdup") & (cells["boot"] == 3))
        | ((cells["store"] == "refcounted") & (cells["boot"] == 0))
    )

    ratios = reductions(answers(cells[~lost], margin=2))

    whole = reductions(answers(cells[cells["boot"].isin([1, 2])], margin=2))
    assert ratios == whole
    assert {ratio.boots for ratio in ratios.values()} == {2}


@pytest.mark.slow
def test_plots_become_svg_that_stands_in_a_page() -> None:
    figures = [
        plot_slopes(slopes(SHARING)),
        plot_effects(answers(SHARING, margin=2)),
        plot_lengths(answers(LENGTH, margin=2)),
        plot_nulls(null_effects(PUBLISHED, margin=2)),
        plot_order(PUBLISHED),
    ]

    for figure in figures:
        text = svg_of(figure)
        assert text.startswith("<svg")
        assert text.rstrip().endswith("</svg>")
        assert "<script" not in text
        assert "<text" in text
