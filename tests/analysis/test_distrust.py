from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis import cell_effects, load
from harness.analysis import distrust as distrust_
from harness.worker.measure import Record, Run, RunEnd, Sample
from tests.synthetic import cell_records, run_of, whole_run, write_records

NAMES = "distinct:79"


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """A place for records."""
    return tmp_path


def frame_of(campaign: Path, *parts: Iterable[Record]) -> pd.DataFrame:
    """Records after their way through a file."""
    return load(write_records(campaign, [r for part in parts for r in part]))


def distrust(frame: pd.DataFrame) -> list[str]:
    """What speaks against the forks of a campaign."""
    return distrust_(frame, margin=2)


def switch_records() -> list[Record]:
    """A kernel of both stores in three boots, named and not."""
    return [
        *cell_records([100, 200, 400]),
        *cell_records([120, 220, 420], naming=NAMES),
        *cell_records([300, 400, 660], store="strdup", naming=NAMES),
    ]


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
    loose = whole_run(replace(run_of(run="l"), fifo=False, block=3), [1])
    frame = frame_of(
        campaign,
        switch_records(),
        cell_records([5], variant="strdup"),
        cell_records([5], variant="none"),
        [*unfinished, *failed, *early, *loose],
    )

    assert distrust(frame) == [
        "one boot only, so the spread is unknown: "
        "none (linux 6.12, qemu aarch64, tcg icount shift=0, insns), "
        "strdup (linux 6.12, qemu aarch64, tcg icount shift=0, insns)",
        "2 runs did not end, or ended invalid: left out",
        "3 samples left out: the child ran",
        "5 samples without SCHED_FIFO: other tasks may have preempted them",
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

    assert cell_effects(frame, margin=2) == []
    (told,) = distrust(frame)
    assert told.startswith(f"{count} impossible samples left out")


def test_one_boot_is_told_where_another_had_nothing_valid(campaign: Path) -> None:
    invalid = [
        replace(r, valid=False, reason="the child ran") if isinstance(r, Sample) else r
        for r in cell_records([5, 6])
        if not isinstance(r, Sample) or r.run.startswith("1-")
    ]
    good = cell_records([5])

    told = distrust(frame_of(campaign, good, [r for r in invalid if second_boot(r)]))

    assert told[0].startswith("one boot only, so the spread is unknown: switch")


def second_boot(record: Record) -> bool:
    """Whether a record is of the second boot of ``cell_records``."""
    return getattr(record, "run", "").startswith("1-")


def test_identical_arms_that_differ_are_told_with_their_layout(campaign: Path) -> None:
    records: list[Record] = []
    for boot in range(2):
        for position, cost in ((0, 1000), (1, 1100)):
            run = run_of(run=f"{boot}-{position}", boot=boot, position=position)
            records += whole_run(run, [cost])

    (told,) = distrust(frame_of(campaign, records))

    assert told == (
        "two identical arms differ by +10.000 [10.000, 10.000] % (1000 VMAs, 0 pages, "
        "unnamed, linux 6.12 switch, qemu aarch64 (tcg icount shift=0), insns): do not "
        "trust its effects"
    )
