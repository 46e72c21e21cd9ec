import random
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import cell_effects, load
from harness.analysis.compare import Compared, compare_arms, compare_campaigns
from harness.analysis.stats import Verdict
from harness.errors import UsageError
from harness.measure import Record
from tests.synthetic import frame_of_records, run_of, whole_run

DATA = Path(__file__).parents[2] / "notebooks/data"
BOOTS = 8


def campaign(
    seed: int,
    *,
    slower: float = 0.0,
    unit: str = "ns",
    noise: float = 0.006,
    drift: float = 0.0,
    boots: int = BOOTS,
) -> pd.DataFrame:
    """Unnamed twice and shared names, on a machine whose boots differ by ``noise``.

    ``slower`` is the part by which this kernel's forks are; ``drift`` that by which
    the second of two identical processes is.
    """
    rng = random.Random(seed)
    records: list[Record] = []
    for boot in range(boots):
        machine = rng.gauss(1, noise)
        for position, (naming, extra) in enumerate(
            [("none", 0.0), ("none", drift), ("distinct:79", 0.017)]
        ):
            cost = 1_000_000 * (1 + slower) * (1 + extra) * machine
            run = run_of(
                run=f"{seed}-{boot}-{position}", naming=naming, boot=boot,
                position=position, unit=unit,
            )  # fmt: skip
            forks = [int(cost * rng.gauss(1, noise / 4)) for _ in range(9)]
            records += whole_run(run, forks)
    return frame_of_records(records)


def test_a_kernel_that_is_3_percent_slower_is_caught_by_a_margin_of_1() -> None:
    baseline = campaign(1)

    caught = [
        compare_campaigns(baseline, campaign(seed, slower=0.03), margin=1).regressed
        for seed in range(100, 110)
    ]

    assert all(caught)


@pytest.mark.slow
def test_an_unchanged_kernel_passes_50_times_of_50() -> None:
    baseline = campaign(1)

    comparisons = [
        compare_campaigns(baseline, campaign(seed), margin=2) for seed in range(2, 52)
    ]

    assert sum(c.trusted and not c.regressed for c in comparisons) == 50


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

    assert (comparison.nulls, comparison.nulls_failed) == (2, 1)
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

    with pytest.raises(UsageError, match=f"may not be compared: {fact} is "):
        compare_campaigns(baseline, changed, margin=2)


def test_two_kernels_in_one_campaign_must_be_told_apart() -> None:
    both = pd.concat([campaign(1), campaign(2).assign(variant="none")])

    with pytest.raises(UsageError, match="more than one kernel"):
        compare_campaigns(both, both, margin=2)


def test_campaigns_of_other_cells_have_nothing_to_compare() -> None:
    with pytest.raises(UsageError, match="no cell in common"):
        compare_campaigns(campaign(1), campaign(2).assign(vmas=7), margin=2)


def test_the_arms_of_one_campaign_are_named_against_unnamed() -> None:
    comparison = compare_arms(campaign(1, unit="insns", noise=0.00001), margin=1)

    (cell,) = comparison.cells
    assert cell.judged.verdict is Verdict.REGRESSED
    assert cell.change.value == pytest.approx(1.7, abs=0.1)
    assert comparison.trusted


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
        ("naming != 'none'", "fork", "no unnamed process has fork"),
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
    assert cell.second == pytest.approx(11_884_832)
    assert cell.second_spread == pytest.approx(2.235, abs=0.001)
    assert cell.first == pytest.approx(8_880_960)
    assert cell.first_spread == pytest.approx(1.93, abs=0.01)


def changes(boots: int, noise: float = 0.006) -> list[Compared]:
    """The cells of two campaigns of an unchanged kernel."""
    sides = [campaign(seed, boots=boots, noise=noise) for seed in (1, 2)]
    return list(compare_campaigns(sides[0], sides[1], margin=2).cells)


@pytest.mark.parametrize(
    ("boots", "kind"), [(1, "range"), (5, "range"), (6, "bootstrap")]
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
