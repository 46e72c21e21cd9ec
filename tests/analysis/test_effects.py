from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import (
    Effect,
    Interval,
    Row,
    aa_checks,
    cell_costs,
    cell_effects,
    load,
    side_by_side,
    unnamed_only,
)
from harness.errors import UsageError
from harness.worker.measure import Record, Run, RunEnd, Sample
from tests.synthetic import cell_records, run_of, whole_run, write_records

UNNAMED = [100_000, 200_000, 400_000]
NAMES = "distinct:79"


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """A place for records."""
    return tmp_path


def frame_of(campaign: Path, *parts: Iterable[Record]) -> pd.DataFrame:
    """Records after their way through a file."""
    return load(write_records(campaign, [r for part in parts for r in part]))


def more(extras: list[float], *, vmas: int = 1000) -> list[int]:
    """What a fork costs in each boot with so much more a VMA."""
    return [
        int(cost + extra * vmas) for cost, extra in zip(UNNAMED, extras, strict=True)
    ]


Ends = tuple[float, float, float]
# Extra cost a VMA with the range of the boots, of the three boots of UNNAMED.
SHARED, COPIED = (20.0, 10.0, 30.0), (200.0, 190.0, 260.0)


def ends(estimate: Interval) -> Ends:
    """An estimate and the ends of its interval."""
    return estimate.value, estimate.low, estimate.high


def rows_of(frame: pd.DataFrame) -> list[Row]:
    """The rows of a campaign's table."""
    return side_by_side(cell_effects(frame, margin=2))


def extra(effect: Effect | None) -> Ends | None:
    """What the names of an effect cost a VMA."""
    return None if effect is None else ends(effect.extra)


def switch_records(naming: str = NAMES) -> list[Record]:
    """A kernel of both stores; names cost SHARED in one and COPIED in the other."""
    return [
        *cell_records(UNNAMED),
        *cell_records(more([10, 20, 30]), naming=naming),
        *cell_records(more([190, 200, 260]), store="strdup", naming=naming),
    ]


def test_instructions_are_medians_over_boots_of_differences_within_a_boot(
    campaign: Path,
) -> None:
    frame = frame_of(campaign, switch_records())

    shared, copied = cell_effects(frame, margin=2)

    assert (shared.arm.words, copied.arm.store) == (
        "1000 VMAs, 0 pages, refcounted, distinct:79", "strdup",
    )  # fmt: skip
    assert (ends(shared.extra), ends(copied.extra)) == (SHARED, COPIED)
    assert ends(shared.percent) == pytest.approx((10.0, 7.5, 10.0))
    assert ends(copied.percent) == pytest.approx((100.0, 65.0, 190.0))
    assert ends(shared.unnamed) == (200_000, 100_000, 400_000)
    assert (shared.named.value, copied.named.value) == (220_000, 400_000)
    assert shared.boots == (("s", 0), ("s", 1), ("s", 2))


def ns_records(naming: str, costs: list[int]) -> list[Record]:
    """Boots on silicon: two blocks each, ten forks of which eight were disturbed."""
    records: list[Record] = []
    for boot, cost in enumerate(costs):
        for block in range(2):
            run = run_of(
                run=f"{naming}-{boot}-{block}", boot=boot, block=block, unit="ns",
                target="uml", naming=naming,
            )  # fmt: skip
            disturbed = [cost + 10_000 * (n + 1) for n in range(8)]
            records += whole_run(run, [*disturbed, cost, cost + block])
    return records


def test_of_time_a_process_stands_for_its_first_decile(campaign: Path) -> None:
    frame = frame_of(
        campaign,
        ns_records("none", [100_000] * 5),
        ns_records(NAMES, [150_000, 152_000, 151_000, 149_000, 160_000]),
    )

    (effect,) = cell_effects(frame, margin=2)

    assert effect.unnamed.value == pytest.approx(100_000, abs=1)
    # The mean of the boots, and as they are few, their range.
    assert ends(effect.extra) == pytest.approx((52.4, 49.0, 60.0), abs=0.1)
    assert effect.percent.value == pytest.approx(52.4, abs=0.1)


@pytest.mark.parametrize(("target", "unit"), [("uml", "ns"), ("qemu", "insns")])
def test_two_unnamed_processes_stand_for_their_mean_and_not_for_the_faster(
    campaign: Path, target: str, unit: str
) -> None:
    costs = {("a", "none"): 100, ("b", "none"): 300, ("c", NAMES): 200}
    records: list[Record] = []
    for (run, naming), cost in costs.items():
        facts = run_of(run=run, naming=naming, target=target, unit=unit)
        records += whole_run(facts, [cost] * 7)

    (effect,) = cell_effects(frame_of(campaign, records), margin=2)

    assert (effect.unnamed.value, effect.extra.value) == (200, 0)


def test_an_interval_is_the_same_each_time(campaign: Path) -> None:
    frame = frame_of(
        campaign, ns_records("none", [100] * 4), ns_records(NAMES, [200, 220, 210, 230])
    )

    assert cell_effects(frame, margin=2) == cell_effects(frame, margin=2)


@pytest.mark.parametrize(("boots", "whole"), [(2, True), (5, True), (8, False)])
def test_few_boots_have_a_range_and_no_interval(
    campaign: Path, boots: int, whole: bool
) -> None:
    named = [1100 + 100 * boot for boot in range(boots)]
    frame = frame_of(
        campaign, ns_records("none", [100] * boots), ns_records(NAMES, named)
    )

    (effect,) = cell_effects(frame, margin=2)

    _, *found = ends(effect.extra)
    assert (found == [1.0, 1.0 + 0.1 * (boots - 1)]) == whole
    assert effect.extra.kind == ("range" if whole else "bootstrap")


def test_two_clocks_in_one_campaign_stay_apart(campaign: Path) -> None:
    frame = frame_of(
        campaign,
        switch_records(),
        ns_records("none", [100] * 4),
        ns_records(NAMES, [200] * 4),
    )

    assert [(row.place.target, row.place.unit) for row in rows_of(frame)] == [
        ("qemu", "insns"),
        ("uml", "ns"),
    ]


def test_a_row_has_both_stores_of_the_kernel_that_holds_both(campaign: Path) -> None:
    frame = frame_of(campaign, switch_records())

    (row,) = rows_of(frame)

    assert (row.kernels, row.arm.names) == (("switch",), NAMES)
    assert (extra(row.strdup), extra(row.refcounted)) == (COPIED, SHARED)
    assert row.ratio is not None
    # Of each boot, as its arms are of one kernel: 190/10, 200/20, 260/30.
    assert ends(row.ratio) == pytest.approx((10.0, 260 / 30, 19.0))


def test_kernels_of_one_store_each_stand_side_by_side(campaign: Path) -> None:
    frame = frame_of(
        campaign,
        cell_records(UNNAMED, variant="refcount"),
        cell_records(more([10, 20, 30]), variant="refcount", naming=NAMES),
        cell_records(UNNAMED, variant="strdup", store="strdup"),
        cell_records(
            more([190, 200, 260]), variant="strdup", store="strdup", naming=NAMES
        ),
    )

    (row,) = rows_of(frame)

    assert row.kernels == ("refcount", "strdup")
    assert (extra(row.refcounted), extra(row.strdup)) == (SHARED, COPIED)
    assert row.ratio is not None
    # Two kernels have no boots in common: any of the one over any of the other.
    assert ends(row.ratio) == pytest.approx((10.0, 65 / 10, 190 / 7.5))


def test_the_kernel_of_both_stores_has_rows_of_its_own(campaign: Path) -> None:
    frame = frame_of(
        campaign,
        switch_records(),
        cell_records(UNNAMED, variant="refcount"),
        cell_records(more([10, 20, 30]), variant="refcount", naming=NAMES),
    )

    alone, both = rows_of(frame)

    assert (alone.kernels, alone.strdup, alone.ratio) == (("refcount",), None, None)
    assert both.kernels == ("switch",)
    assert both.ratio is not None


def test_kernels_of_the_same_store_are_all_in_the_table(campaign: Path) -> None:
    parts = [
        cell_records([9], variant=variant, store=store, naming=naming)
        for variant, store in (
            ("own", "refcounted"), ("refcount", "refcounted"), ("strdup", "strdup"),
        )
        for naming in ("none", NAMES)
    ]  # fmt: skip

    rows = rows_of(frame_of(campaign, *parts))

    assert sorted(row.kernels for row in rows) == [("own",), ("refcount",), ("strdup",)]


def test_vmas_of_other_sizes_have_rows_of_their_own(campaign: Path) -> None:
    parts = [
        [
            replace(r, run=r.run + size, vma_pages=len(size))
            if isinstance(r, Run)
            else replace(r, run=r.run + size)
            for r in cell_records([cost], naming=naming)
            if isinstance(r, Run | Sample | RunEnd)
        ]
        for size, naming, cost in (
            ("a", "none", 1000), ("a", NAMES, 1100), ("bb", "none", 1000),
            ("bb", NAMES, 1300),
        )
    ]  # fmt: skip

    effects = cell_effects(frame_of(campaign, *parts), margin=2)

    percents = {e.arm.vma_pages: e.percent.value for e in effects}
    assert percents == pytest.approx({1: 10, 2: 30})


def test_rows_are_ordered_by_base_pages_vmas_and_naming(campaign: Path) -> None:
    parts = [
        cell_records([9], base=base, vmas=vmas, pages=pages, naming=label)
        for base in ("6.12", "6.1")
        for naming, vmas, pages in (
            ("shared:5", 20, 0), ("distinct:79", 300, 10), ("distinct:9", 300, 0),
            ("distinct:79", 20, 1),
        )
        for label in (naming, "none")
    ]  # fmt: skip

    rows = rows_of(frame_of(campaign, *parts))

    assert [
        (r.place.base, r.arm.written_pages, r.arm.vmas, r.arm.names) for r in rows
    ] == [
        (base, *cell)
        for base in ("6.1", "6.12")
        for cell in (
            (0, 20, "shared:5"), (0, 300, "distinct:9"), (1, 20, "distinct:79"),
            (10, 300, "distinct:79"),
        )
    ]  # fmt: skip


@pytest.mark.parametrize("extras", [[0, 20, 30], [-1, 20, 30], [-3, -2, -1]])
def test_there_is_no_ratio_to_an_effect_not_above_zero_in_every_boot(
    campaign: Path, extras: list[float]
) -> None:
    frame = frame_of(
        campaign,
        cell_records(UNNAMED),
        cell_records(more(extras), naming=NAMES),
        cell_records(more([190, 200, 260]), store="strdup", naming=NAMES),
    )

    (row,) = rows_of(frame)

    assert (extra(row.strdup), row.ratio) == (COPIED, None)


@pytest.mark.parametrize(
    ("vmas", "pages", "vma_pages", "naming", "published"),
    [
        (65_536, 0, 1, NAMES, {"refcounted": 12.16}),
        (65_536, 1, 1, NAMES, {"refcounted": 6.52}),
        (65_536, 10, 10, NAMES, {"refcounted": 5.39}),
        (65_536, 0, 2, NAMES, {}),
        (65_536, 1, 4, NAMES, {}),
        (65_536, 0, 1, "shared:79", {}),
        (65_536, 2, 2, NAMES, {}),
        (65_535, 0, 1, NAMES, {}),
        (1_000, 10, 10, NAMES, {}),
    ],
)
def test_the_published_percentages_stand_only_beside_what_was_published(
    campaign: Path,
    vmas: int,
    pages: int,
    vma_pages: int,
    naming: str,
    published: dict[str, float],
) -> None:
    frame = frame_of(
        campaign,
        cell_records([9], vmas=vmas, pages=pages),
        cell_records([99], vmas=vmas, pages=pages, naming=naming),
    )
    frame["vma_pages"] = vma_pages

    (row,) = rows_of(frame)

    assert row.published == published


def test_a_boot_that_lacks_one_arm_does_not_count(campaign: Path) -> None:
    frame = frame_of(
        campaign, cell_records([100, 200]), cell_records([1100, 2200, 99], naming=NAMES)
    )

    (effect,) = cell_effects(frame, margin=2)

    assert (effect.extra.boots, ends(effect.extra)) == (2, (1.5, 1.0, 2.0))


def test_a_kernel_that_does_not_say_its_build_is_analysed_too(campaign: Path) -> None:
    records = [
        replace(r, build_id=None) if isinstance(r, Run) else r for r in switch_records()
    ]

    (row,) = rows_of(frame_of(campaign, records))

    assert (extra(row.strdup), extra(row.refcounted)) == (COPIED, SHARED)


def test_runs_that_may_not_be_pooled_make_no_table(campaign: Path) -> None:
    other = replace(run_of(run="other", boot=9), protocol=99)
    frame = frame_of(campaign, switch_records(), whole_run(other, [5]))

    for table in (cell_effects, cell_costs, aa_checks):
        with pytest.raises(UsageError, match="protocol differs"):
            table(frame, margin=2)


def test_kernels_measured_unnamed_only_have_a_table_of_their_own(
    campaign: Path,
) -> None:
    frame = frame_of(
        campaign,
        switch_records(),
        cell_records([100, 500, 200], variant="none", store="absent", pages=1),
    )

    (cost,) = unnamed_only(cell_costs(frame, margin=2))

    assert (cost.place.variant, cost.arm.words) == (
        "none", "1000 VMAs, 1 pages, unnamed",
    )  # fmt: skip
    assert ends(cost.total) == (200.0, 100.0, 500.0)
    assert ends(cost.per_vma) == (0.2, 0.1, 0.5)
    assert [row.kernels for row in rows_of(frame)] == [("switch",)]


def test_nothing_that_is_whole_makes_no_rows(campaign: Path) -> None:
    records = [r for r in switch_records() if not isinstance(r, RunEnd)]
    frame = frame_of(campaign, records)

    assert rows_of(frame) == []
    assert cell_costs(frame, margin=2) == []
