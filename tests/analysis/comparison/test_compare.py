import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import cell_costs, cell_effects, load
from harness.analysis.comparison.compare import (
    compare_arms,
    compare_campaigns,
    compare_effects,
)
from harness.analysis.comparison.result import Compared, Comparison, Differing, Form
from harness.analysis.stats import Verdict
from harness.errors import UsageError
from harness.worker.measure import Record
from tests.analysis.comparison.test_stores import naming_campaign
from tests.synthetic import frame_of_records, run_of, whole_run

DATA = Path(__file__).parents[3] / "notebooks/data"
BOOTS = 8


def campaign(
    seed: int,
    *,
    slower: float = 0.0,
    unit: str = "ns",
    noise: float = 0.006,
    drift: float = 0.0,
    boots: int = BOOTS,
    extra: float = 0.017,
    store: str = "refcounted",
    machine: str = "aarch64",
) -> pd.DataFrame:
    """Unnamed twice and shared names, on a machine whose boots differ by ``noise``.

    ``slower`` is the part by which this kernel's forks are; ``drift`` that by which
    the second of two identical processes is; ``extra`` that by which names are.
    """
    rng = random.Random(seed)
    records: list[Record] = []
    for boot in range(boots):
        speed = rng.gauss(1, noise)
        for position, (naming, more) in enumerate(
            [("none", 0.0), ("none", drift), ("distinct:79", extra)]
        ):
            cost = 1_000_000 * (1 + slower) * (1 + more) * speed
            run = run_of(
                run=f"{seed}-{boot}-{position}", naming=naming, boot=boot,
                position=position, unit=unit, store=store,
            )  # fmt: skip
            run = replace(run, machine=machine)
            forks = [int(cost * rng.gauss(1, noise / 4)) for _ in range(9)]
            records += whole_run(run, forks)
    return frame_of_records(records)


@pytest.mark.long
def test_a_kernel_that_is_3_percent_slower_is_caught_by_a_margin_of_1() -> None:
    baseline = campaign(1)

    caught = [
        compare_campaigns(baseline, campaign(seed, slower=0.03), margin=1).regressed
        for seed in range(100, 110)
    ]

    assert all(caught)


@pytest.mark.long
def test_an_unchanged_kernel_passes_50_times_of_50() -> None:
    baseline = campaign(1)

    comparisons = [
        compare_campaigns(baseline, campaign(seed), margin=2) for seed in range(2, 52)
    ]

    assert sum(c.trusted and not c.regressed for c in comparisons) == 50


@pytest.mark.long
def test_instructions_are_compared_by_their_range() -> None:
    baseline = campaign(1, unit="insns", noise=0.00002)
    same = campaign(2, unit="insns", noise=0.00002)
    slower = campaign(3, unit="insns", noise=0.00002, slower=0.03)

    assert {
        cell.judged.verdict
        for cell in compare_campaigns(baseline, same, margin=2).cells
    } == {Verdict.EQUIVALENT}
    worse = compare_campaigns(baseline, slower, margin=2)
    assert {cell.judged.verdict for cell in worse.cells} == {Verdict.REGRESSED}
    assert all(cell.judged.p is None for cell in worse.cells)


def test_identical_arms_that_differ_leave_no_verdict_to_be_trusted() -> None:
    baseline = campaign(1, unit="insns", noise=0.0001)
    uneven = campaign(2, unit="insns", noise=0.0001, drift=0.05)

    comparison = compare_campaigns(baseline, uneven, margin=2)

    assert (comparison.checks, comparison.checks_failed) == (2, 1)
    assert not comparison.trusted


def test_too_few_boots_are_inconclusive_and_say_how_many_more() -> None:
    few = [campaign(seed, boots=4, noise=0.001) for seed in (1, 2)]

    comparison = compare_campaigns(few[0], few[1], margin=2)

    assert {c.judged.verdict for c in comparison.cells} == {Verdict.INCONCLUSIVE}
    assert {c.judged.more_boots for c in comparison.cells} == {2}


@pytest.mark.parametrize(
    ("fact", "value"), [("cpu", "another"), ("settle_ms", 1), ("settings", "")]
)
def test_what_may_not_be_compared_is_refused_with_the_fact(
    fact: str, value: str | int
) -> None:
    baseline = campaign(1)
    changed = baseline.copy()
    changed[fact] = value

    with pytest.raises(UsageError, match=f"cannot be compared: {fact} is "):
        compare_campaigns(baseline, changed, margin=2)


def test_two_kernels_in_one_campaign_must_be_told_apart() -> None:
    both = pd.concat([campaign(1), campaign(2).assign(variant="none")])

    with pytest.raises(UsageError, match="more than one kernel"):
        compare_campaigns(both, both, margin=2)


def test_campaigns_of_other_cells_have_nothing_to_compare() -> None:
    others = campaign(2).assign(vmas=7)

    comparison = compare_campaigns(campaign(1), others, margin=2)

    assert (comparison.cells, comparison.trusted, comparison.complete) == (
        (), False, False,
    )  # fmt: skip
    assert [(m.side, m.cell[:4]) for m in comparison.missing] == [
        ("second", "1000"), ("second", "1000"), ("first", "7 VM"), ("first", "7 VM"),
    ]  # fmt: skip


def test_the_arms_of_one_campaign_are_named_against_unnamed() -> None:
    comparison = compare_arms(campaign(1, unit="insns", noise=0.00001), margin=1)

    (cell,) = comparison.cells
    assert cell.judged.verdict is Verdict.REGRESSED
    assert cell.change.value == pytest.approx(1.7, abs=0.1)
    assert comparison.trusted


@pytest.mark.long
def test_the_null_is_that_of_the_metric_which_is_compared() -> None:
    frame = campaign(1, unit="insns", noise=0.0001)
    second_exits = (frame["metric"] == "exit_reap") & (frame["position"] == 1)
    frame.loc[second_exits, "value"] *= 2

    for compared, held in (("fork", True), ("exit_reap", False), ("munmap", True)):
        assert compare_arms(frame, margin=2, metric=compared).trusted == held
        both = compare_campaigns(frame, frame, margin=2, metric=compared)
        assert both.trusted == held
        cells = cell_effects(frame, margin=2, metric=compared)
        assert [cell.trusted for cell in cells] == [held]


@pytest.mark.parametrize(
    ("kept", "metric", "words"),
    [
        ("naming == 'none'", "fork", "has no named cells"),
        ("naming != ''", "rename", "has no samples of rename"),
    ],
)
def test_why_a_campaign_has_no_arms_to_compare_is_said(
    kept: str, metric: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        compare_arms(campaign(1).query(kept), margin=2, metric=metric)


def test_both_arms_have_their_own_means_and_deviations() -> None:
    frame = load(DATA / "published-6.12-uml.parquet")

    cells = compare_arms(frame, margin=2).cells

    (cell,) = (c for c in cells if "65536 VMAs, 0 pages, strdup, distinct:63" in c.cell)
    assert (cell.first.value, cell.second.value) == (8_880_960, 11_884_832)
    assert cell.spreads[0] / cell.first.value == pytest.approx(0.0193, abs=0.0001)
    assert cell.spreads[1] / cell.second.value == pytest.approx(0.02235, abs=0.00001)


def changes(boots: int, noise: float = 0.006) -> list[Compared]:
    """The cells of two campaigns of an unchanged kernel."""
    sides = [campaign(seed, boots=boots, noise=noise) for seed in (1, 2)]
    return list(compare_campaigns(sides[0], sides[1], margin=2).cells)


@pytest.mark.long
@pytest.mark.parametrize(
    ("boots", "kind"), [(1, "range"), (5, "range"), (6, "fieller")]
)
def test_few_boots_of_two_campaigns_have_a_range_and_no_interval(
    boots: int, kind: str
) -> None:
    assert {cell.change.kind for cell in changes(boots)} == {kind}
    assert all(c.change.low <= c.change.value <= c.change.high for c in changes(boots))


def test_two_campaigns_that_are_too_noisy_say_how_many_more_boots_they_take() -> None:
    noisy = changes(8, noise=0.03)

    assert {cell.judged.verdict for cell in noisy} == {Verdict.INCONCLUSIVE}
    assert all((cell.judged.more_boots or 0) > 0 for cell in noisy)


@pytest.mark.long
def test_boots_without_any_noise_are_judged_by_what_they_are() -> None:
    still = campaign(1, noise=0)
    slower = still.assign(value=still["value"] * 2)

    for second, verdict in ((still, Verdict.EQUIVALENT), (slower, Verdict.REGRESSED)):
        cells = compare_campaigns(still, second, margin=2).cells
        assert {cell.judged.verdict for cell in cells} == {verdict}


def test_layouts_of_larger_vmas_have_labels_of_their_own() -> None:
    records: list[Record] = []
    for size in (1, 4):
        for position, naming in enumerate(("none", "none", "distinct:79")):
            run = run_of(run=f"{size}-{position}", naming=naming, position=position)
            records += whole_run(replace(run, vma_pages=size), [1_000_000])

    cells = compare_arms(frame_of_records(records), margin=2).cells

    assert [cell.cell.partition(", r")[0] for cell in cells] == [
        "1000 VMAs, 0 pages", "1000 VMAs, 0/4 pages",
    ]  # fmt: skip


@pytest.mark.long
def test_the_figures_of_one_campaign_are_those_of_its_effects() -> None:
    frame = load(DATA / "published-6.12-uml.parquet")

    cells = compare_arms(frame, margin=2).cells

    effects = cell_effects(frame, margin=2)
    assert [(c.first, c.second, c.change, c.judged, c.trusted) for c in cells] == [
        (e.unnamed, e.named, e.percent, e.judged, e.trusted) for e in effects
    ]


def test_both_sides_are_estimates_as_every_table_has_them() -> None:
    frame = campaign(1)

    cells = compare_campaigns(frame, campaign(2), margin=2).cells

    costs = cell_costs(frame, margin=2)
    assert {cell.first for cell in cells} == {cost.total for cost in costs}


def test_effects_of_two_machines_are_compared_where_their_calls_may_not_be() -> None:
    one = campaign(1, extra=0.10)
    other = campaign(2, extra=0.10, slower=1.0, machine="x86_64")
    other["cpu"] = "another"

    with pytest.raises(UsageError, match=r"machine is aarch64 and x86_64; --effects"):
        compare_campaigns(one, other, margin=2)
    comparison = compare_effects(one, other, margin=2)

    (cell,) = comparison.cells
    assert comparison.form is Form.EFFECTS
    assert (comparison.missing, comparison.trusted) == ((), True)
    assert {"machine", "cpu"} <= {d.fact for d in comparison.differing}
    # Ten percent of a call that takes twice as long are twice as many nanoseconds.
    assert cell.first.value == pytest.approx(100, rel=0.05)
    assert cell.second.value == pytest.approx(200, rel=0.05)
    assert cell.difference is not None
    assert cell.difference.value == cell.second.value - cell.first.value
    assert cell.change.value == pytest.approx(10, abs=0.5)
    assert cell.judged.verdict is Verdict.REGRESSED


def test_effects_that_are_the_same_are_equivalent_though_all_calls_are_slower() -> None:
    one, other = campaign(1), campaign(2).assign(harness="another")
    # Every call, named or not, takes half a millisecond more.
    other["value"] += 500_000

    (cell,) = compare_effects(one, other, margin=2).cells

    assert cell.judged.verdict is Verdict.EQUIVALENT


def test_effects_in_other_units_are_not_compared() -> None:
    with pytest.raises(UsageError, match="effects in insns and in ns cannot be"):
        compare_effects(campaign(1, unit="insns"), campaign(2), margin=2)


def test_what_no_unnamed_process_has_has_no_effects() -> None:
    with pytest.raises(UsageError, match="unnamed processes have no rename"):
        compare_effects(campaign(1), campaign(2), margin=2, metric="rename")


def test_effects_without_a_partner_are_missed() -> None:
    lost = campaign(2).query("naming != 'none'")

    comparison = compare_effects(campaign(1), lost, margin=2)

    (missing,) = comparison.missing
    assert missing.side == "second"
    assert missing.why.startswith("its partner, 1000 VMAs, 0 pages, unnamed: ")


@pytest.mark.parametrize("compare", [compare_campaigns, compare_effects])
def test_two_kernels_of_one_store_each_are_compared_and_the_stores_are_said(
    compare: Callable[..., Comparison],
) -> None:
    shared = campaign(1, unit="insns", noise=0)
    copied = campaign(2, unit="insns", noise=0, store="strdup", extra=0.2)

    comparison = compare(shared, copied, margin=2)

    assert comparison.missing == ()
    assert [d for d in comparison.differing if d.fact == "store"] == [
        Differing(fact="store", first="refcounted", second="strdup")
    ]
    named = [c for c in comparison.cells if "distinct:79" in c.cell]
    assert [cell.cell for cell in named] == [
        "1000 VMAs, 0 pages, strdup, distinct:79 against refcounted"
    ]
    assert {cell.judged.verdict for cell in named} == {Verdict.REGRESSED}


def test_naming_in_one_campaign_is_copied_against_shared() -> None:
    comparison = compare_arms(naming_campaign(), margin=2, metric="name")

    (cell,) = comparison.cells
    assert comparison.form is Form.STORES
    assert cell.cell == "1000 VMAs, 0 pages, strdup, distinct:79 against refcounted"
    assert cell.judged.verdict is Verdict.REGRESSED
    assert (comparison.trusted, comparison.complete) == (True, True)
    assert (comparison.checks, comparison.checks_failed) == (2, 0)


def test_naming_without_its_other_store_is_missed_or_said() -> None:
    both = naming_campaign()
    shared = both["store"] == "refcounted"
    spoilt = both.assign(valid=both["valid"] & ~shared)

    comparison = compare_arms(spoilt, margin=2, metric="name")

    assert (comparison.cells, len(comparison.missing)) == ((), 1)
    assert "its partner" in comparison.missing[0].why
    with pytest.raises(UsageError, match="no kernel of the campaign has both"):
        compare_arms(both[shared], margin=2, metric="name")


def test_two_campaigns_are_compared_in_what_only_named_processes_have() -> None:
    even, uneven = naming_campaign(), naming_campaign(uneven="strdup")

    comparison = compare_campaigns(even, uneven, margin=20, metric="name")

    # Two identical arms of a cell speak for that cell, and for no other.
    assert {cell.cell[20:26]: cell.trusted for cell in comparison.cells} == {
        "refcou": True, "strdup": False,
    }  # fmt: skip
    assert comparison.missing == ()
