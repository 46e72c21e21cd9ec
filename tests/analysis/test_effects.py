from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import (
    PUBLISHED_PERCENT,
    ForkRow,
    StoreEffect,
    UnnamedRow,
    distrust,
    fork_effects,
    fork_table,
    load,
    unnamed_table,
)
from harness.errors import UsageError
from harness.measure import Record, Run, RunEnd, Sample
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


SHARED = StoreEffect(
    boots=3,
    unnamed=200_000,
    unnamed_spread=200_000,
    extra=(20.0, 10.0, 30.0),
    percent=pytest.approx((10.0, 7.5, 10.0)),  # type: ignore[arg-type]
)
COPIED = StoreEffect(
    boots=3,
    unnamed=200_000,
    unnamed_spread=200_000,
    extra=(200.0, 190.0, 260.0),
    percent=pytest.approx((100.0, 65.0, 190.0)),  # type: ignore[arg-type]
)


def switch_records(naming: str = NAMES) -> list[Record]:
    """A kernel of both stores; names cost SHARED in one and COPIED in the other."""
    return [
        *cell_records(UNNAMED),
        *cell_records(more([10, 20, 30]), naming=naming),
        *cell_records(more([190, 200, 260]), store="strdup", naming=naming),
    ]


def test_effects_are_medians_over_boots_of_differences_within_a_boot(
    campaign: Path,
) -> None:
    frame = frame_of(campaign, switch_records())

    effects = fork_effects(frame)

    assert effects.to_dict("records") == [
        {
            "base": "6.12", "target": "qemu", "machine": "aarch64",
            "accelerator": "tcg icount shift=0", "unit": "insns", "vmas": 1000,
            "vma_pages": 1,
            "written_pages": 0, "variant": "switch", "build_id": "id of switch 6.12",
            "naming": "distinct", "name_length": 79, "store": store, "boots": 3,
            "unnamed": 200_000, "unnamed_spread": 200_000, "named": named,
            "extra_per_vma": effect.extra[0], "extra_low": effect.extra[1],
            "extra_high": effect.extra[2], "percent": pytest.approx(percent[0]),
            "percent_low": pytest.approx(percent[1]),
            "percent_high": pytest.approx(percent[2]),
        }
        for store, named, effect, percent in (
            ("refcounted", 220_000, SHARED, (10.0, 7.5, 10.0)),
            ("strdup", 400_000, COPIED, (100.0, 65.0, 190.0)),
        )
    ]  # fmt: skip


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

    (effect,) = fork_effects(frame).to_dict("records")

    assert effect["unnamed"] == pytest.approx(100_000, abs=1)
    assert effect["extra_per_vma"] == pytest.approx(51.0)
    # Resampled boots: as wide as the boots, never wider.
    assert 49.0 <= effect["extra_low"] < 51.0 < effect["extra_high"] <= 60.0
    assert effect["percent_low"] < effect["percent"] == pytest.approx(51.0, abs=0.1)


@pytest.mark.parametrize(("target", "unit"), [("uml", "ns"), ("qemu", "insns")])
def test_two_unnamed_processes_stand_for_their_mean_and_not_for_the_faster(
    campaign: Path, target: str, unit: str
) -> None:
    costs = {("a", "none"): 100, ("b", "none"): 300, ("c", NAMES): 200}
    records: list[Record] = []
    for (run, naming), cost in costs.items():
        facts = run_of(run=run, naming=naming, target=target, unit=unit)
        records += whole_run(facts, [cost] * 7)

    (effect,) = fork_effects(frame_of(campaign, records)).to_dict("records")

    assert (effect["unnamed"], effect["extra_per_vma"]) == (200, 0)


def test_an_interval_is_the_same_each_time(campaign: Path) -> None:
    frame = frame_of(
        campaign, ns_records("none", [100] * 4), ns_records(NAMES, [200, 220, 210, 230])
    )

    assert fork_effects(frame).equals(fork_effects(frame))


@pytest.mark.parametrize(("boots", "whole"), [(2, True), (5, True), (8, False)])
def test_few_boots_have_a_range_and_no_interval(
    campaign: Path, boots: int, whole: bool
) -> None:
    named = [1100 + 100 * boot for boot in range(boots)]
    frame = frame_of(
        campaign, ns_records("none", [100] * boots), ns_records(NAMES, named)
    )

    (effect,) = fork_effects(frame).to_dict("records")

    ends = (effect["extra_low"], effect["extra_high"])
    assert (ends == (1.0, 1.0 + 0.1 * (boots - 1))) == whole


def test_two_clocks_in_one_campaign_stay_apart(campaign: Path) -> None:
    frame = frame_of(
        campaign,
        switch_records(),
        ns_records("none", [100] * 4),
        ns_records(NAMES, [200] * 4),
    )

    assert [(row.target, row.unit) for row in fork_table(frame)] == [
        ("qemu", "insns"),
        ("uml", "ns"),
    ]


def test_a_row_has_both_stores_of_the_kernel_that_holds_both(campaign: Path) -> None:
    frame = frame_of(campaign, switch_records())

    assert fork_table(frame) == [
        ForkRow(
            base="6.12", target="qemu", machine="aarch64",
            accelerator="tcg icount shift=0", unit="insns", kernels=("switch",),
            vmas=1000, vma_pages=1, written_pages=0, naming=NAMES,
            strdup=COPIED, refcounted=SHARED, ratio=10.0, published=None,
        )
    ]  # fmt: skip


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

    (row,) = fork_table(frame)

    assert row.kernels == ("refcount", "strdup")
    assert (row.refcounted, row.strdup, row.ratio) == (SHARED, COPIED, 10.0)


def test_the_kernel_of_both_stores_has_rows_of_its_own(campaign: Path) -> None:
    frame = frame_of(
        campaign,
        switch_records(),
        cell_records(UNNAMED, variant="refcount"),
        cell_records(more([10, 20, 30]), variant="refcount", naming=NAMES),
    )

    alone, both = fork_table(frame)

    assert (alone.kernels, alone.strdup, alone.ratio) == (("refcount",), None, None)
    assert (both.kernels, both.ratio) == (("switch",), 10.0)


def test_kernels_of_the_same_store_are_all_in_the_table(campaign: Path) -> None:
    parts = [
        cell_records([9], variant=variant, store=store, naming=naming)
        for variant, store in (
            ("own", "refcounted"), ("refcount", "refcounted"), ("strdup", "strdup"),
        )
        for naming in ("none", NAMES)
    ]  # fmt: skip

    rows = fork_table(frame_of(campaign, *parts))

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

    effects = {
        r.vma_pages: r.refcounted for r in fork_table(frame_of(campaign, *parts))
    }

    percents = {size: e.percent[0] for size, e in effects.items() if e is not None}
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

    rows = fork_table(frame_of(campaign, *parts))

    assert [(r.base, r.written_pages, r.vmas, r.naming) for r in rows] == [
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

    (row,) = fork_table(frame)

    assert (row.strdup, row.ratio) == (COPIED, None)


@pytest.mark.parametrize(
    ("vmas", "pages", "published"),
    [
        (65_536, 0, PUBLISHED_PERCENT[0]),
        (65_536, 1, PUBLISHED_PERCENT[1]),
        (65_536, 10, PUBLISHED_PERCENT[10]),
        (65_536, 2, None),
        (65_535, 0, None),
        (1_000, 10, None),
    ],
)
def test_the_published_percentages_stand_only_beside_what_was_published(
    campaign: Path, vmas: int, pages: int, published: dict[str, float] | None
) -> None:
    frame = frame_of(
        campaign,
        cell_records([9], vmas=vmas, pages=pages),
        cell_records([99], vmas=vmas, pages=pages, naming=NAMES),
    )

    (row,) = fork_table(frame)

    assert row.published == published


def test_a_boot_that_lacks_one_arm_does_not_count(campaign: Path) -> None:
    frame = frame_of(
        campaign, cell_records([100, 200]), cell_records([1100, 2200, 99], naming=NAMES)
    )

    (row,) = fork_table(frame)

    assert row.refcounted is not None
    assert (row.refcounted.boots, row.refcounted.extra) == (2, (1.5, 1.0, 2.0))


def test_a_kernel_that_does_not_say_its_build_is_analysed_too(campaign: Path) -> None:
    records = [
        replace(r, build_id=None) if isinstance(r, Run) else r for r in switch_records()
    ]

    (row,) = fork_table(frame_of(campaign, records))

    assert (row.strdup, row.refcounted) == (COPIED, SHARED)


def test_runs_that_may_not_be_pooled_make_no_table(campaign: Path) -> None:
    other = replace(run_of(run="other", boot=9), python="3.9")
    frame = frame_of(campaign, switch_records(), whole_run(other, [5]))

    for table in (fork_effects, fork_table, unnamed_table):
        with pytest.raises(UsageError, match="python differs"):
            table(frame)


def test_kernels_measured_unnamed_only_have_a_table_of_their_own(
    campaign: Path,
) -> None:
    frame = frame_of(
        campaign,
        switch_records(),
        cell_records([100, 500, 200], variant="none", store="absent", pages=1),
    )

    assert unnamed_table(frame) == [
        UnnamedRow(
            base="6.12", target="qemu", machine="aarch64", unit="insns", kernel="none",
            vmas=1000, vma_pages=1, written_pages=1,
            boots=3, unnamed=200.0, spread=300.0,
        )
    ]  # fmt: skip
    assert [row.kernels for row in fork_table(frame)] == [("switch",)]


def test_nothing_that_is_whole_makes_no_rows(campaign: Path) -> None:
    records = [r for r in switch_records() if not isinstance(r, RunEnd)]
    frame = frame_of(campaign, records)

    assert fork_table(frame) == []
    assert unnamed_table(frame) == []


def test_there_is_nothing_against_a_campaign_where_all_went_well(
    campaign: Path,
) -> None:
    assert distrust(frame_of(campaign, switch_records())) == []


def test_what_speaks_against_a_campaign_is_told(campaign: Path) -> None:
    unfinished = whole_run(run_of(run="u"), [1])[:-1]
    failed = [
        *whole_run(run_of(run="f"), [1])[:-1],
        RunEnd(run="f", valid=False, reason="not as built", seal=""),
    ]
    early = [
        replace(r, valid=False, reason="the child ran")
        if isinstance(r, Sample) and r.metric == "fork"
        else r
        for r in whole_run(run_of(run="e"), [1, 2])
    ]
    loose = whole_run(replace(run_of(run="l"), fifo=False), [1])
    frame = frame_of(
        campaign,
        switch_records(),
        cell_records([5], variant="strdup"),
        cell_records([5], variant="none"),
        [*unfinished, *failed, *early, *loose],
    )

    assert distrust(frame) == [
        "one boot only, so no spread is known: "
        "none (linux 6.12, qemu aarch64, tcg icount shift=0, insns), "
        "strdup (linux 6.12, qemu aarch64, tcg icount shift=0, insns)",
        "2 runs did not end, or ended invalid: left out",
        "3 samples left out: the child ran",
        "5 samples without SCHED_FIFO: others ran when they wanted",
    ]


def test_two_places_of_one_boot_each_are_not_one_of_two(campaign: Path) -> None:
    frame = frame_of(
        campaign, cell_records([5]), *(
            [replace(r, boot=1) if isinstance(r, Run) else r for r in records]
            for records in [cell_records([5], base="6.1")]
        ),
    )  # fmt: skip

    (told,) = distrust(frame)

    assert told.startswith("one boot only")
    assert "switch (linux 6.1, " in told
    assert "switch (linux 6.12, " in told


@pytest.mark.parametrize(
    ("fact", "value", "count"),
    [("value", 0, 27), ("value", -5, 27), ("value", 2**63 - 1, 27), ("vmas", 0, 27),
     ("store", "absent", 54)],
)  # fmt: skip
def test_what_cannot_be_is_left_out_and_counted(
    campaign: Path, fact: str, value: int | str, count: int
) -> None:
    frame = load(write_records(campaign, switch_records())).astype({"store": "str"})
    unnamed = frame["naming"] == "none"
    frame.loc[~unnamed if fact == "store" else unnamed, fact] = value

    assert fork_table(frame) == []
    (told,) = distrust(frame)
    assert told.startswith(f"{count} samples left out: they cannot be")
