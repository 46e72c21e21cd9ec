from pathlib import Path

import pandas as pd

from harness.analysis import (
    aa_checks,
    cell_costs,
    cell_effects,
    load,
    reductions,
    slopes,
    usable,
)
from harness.analysis.noise import cell_noise
from harness.analysis.tables import (
    aa_table,
    costs_table,
    effects_table,
    noise_table,
    published_table,
    slopes_table,
)

DATA = Path(__file__).parents[2] / "notebooks/data"
PUBLISHED = load(DATA / "published-6.12-arm64.parquet")
SHARING = load(DATA / "sharing-6.12-arm64.parquet")
LENGTH = load(DATA / "length-6.12-arm64.parquet")


def test_the_published_cells_stand_beside_ours() -> None:
    table = published_table(cell_effects(PUBLISHED, margin=2))

    assert len(table) == 12
    published = set(table["published percent"])
    assert published == {39.51, 12.16, 15.31, 6.52, 14.13, 5.39}
    copied = table[(table["store"] == "strdup") & (table["written pages per VMA"] == 0)]
    assert copied["extra percent"].between(25, 27).all()


def test_identical_arms_of_65536_vmas_lie_within_a_twentieth_of_a_percent() -> None:
    checks = aa_checks(PUBLISHED, margin=2)

    table = aa_table(checks)

    assert list(table["VMAs"]) == [4_000] * 3 + [65_536] * 3
    assert table["holds"].all()
    large = [check for check in checks if check.arm.vmas == 65_536]
    assert max(abs(p) for check in large for p in check.by_boot) < 0.05


def test_every_cell_has_a_verdict_and_every_sample_is_counted() -> None:
    table = effects_table(cell_effects(SHARING, margin=2))

    assert set(table["verdict"]) <= {"regressed", "equivalent", "inconclusive"}
    assert len(table) == 18
    noise = noise_table(cell_noise(PUBLISHED))
    assert noise["samples"].sum() == len(usable(PUBLISHED, "fork"))


def test_what_naming_costs_has_a_table_with_a_check_of_named_arms() -> None:
    costs = cell_costs(PUBLISHED, margin=2, metric="name")

    table = costs_table(costs)

    assert set(table["store"]) == {"refcounted", "strdup"}
    assert set(table["metric"]) == {"name"}
    # A prctl() of a VMA of its own, through Python.
    assert table["cost per VMA"].between(13_000, 15_000).all()
    checks = aa_checks(PUBLISHED, margin=2, metric="name")
    assert {check.arm for check in checks} == {cost.arm for cost in costs}
    assert {cost.alike for cost in costs} <= {True, False}


def test_what_was_measured_again_is_no_noise() -> None:
    gone = SHARING["run"] == SHARING["run"].iloc[0]
    left = SHARING.assign(run_valid=SHARING["run_valid"] & ~gone)

    before, after = (
        noise_table(cell_noise(frame))["samples"].sum() for frame in (SHARING, left)
    )

    assert before - after == len(usable(SHARING[gone], "fork")) > 0


def test_a_shared_name_costs_the_same_at_any_length_and_a_copied_one_more() -> None:
    found = cell_effects(LENGTH, margin=2)
    by_store = {
        store: {e.arm.name_length: e.extra.value for e in found if e.arm.store == store}
        for store in ("refcounted", "strdup")
    }

    shared = by_store["refcounted"].values()
    assert max(shared) - min(shared) < 1.5
    copied = by_store["strdup"]
    assert copied[79] > copied[28] > copied[0]


def test_slopes_are_those_of_a_straight_line() -> None:
    found = slopes(SHARING)

    table = slopes_table(found)

    assert set(table["store"]) == {"unnamed", "refcounted", "strdup"}
    assert (table["straight line up to VMAs"] == 65_536).all()
    named = table[table["names"].isin(["none", "distinct:79"])]
    slope = dict(zip(named["store"], named["cost per VMA"], strict=True))
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

    ratios = reductions(cell_effects(cells[~lost], margin=2))

    whole = reductions(cell_effects(cells[cells["boot"].isin([1, 2])], margin=2))
    assert ratios == whole
    assert {each.times.boots for each in ratios} == {2}
