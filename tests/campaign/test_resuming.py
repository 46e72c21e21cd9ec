"""Campaigns gone on with: what is finished stays, what is not is done again."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis import load, usable
from harness.campaign import Listener, Outcome, Plan, execute, run_plan
from harness.campaign.appending import appended_records
from harness.campaign.resuming import Standing, read_standing, standing_of
from harness.errors import GuestLost, RecordError, UsageError
from harness.worker.measure import (
    PROTOCOL,
    Count,
    Job,
    Record,
    Run,
    RunEnd,
    Superseded,
    render_record,
)
from harness.worker.measure.records import LONGEST
from tests.campaign.test_execute import Emit, play_well, records_of, subject_of
from tests.synthetic import (
    frame_of_records,
    run_of,
    samples_of,
    whole_run,
    write_records,
)

PLAN = Plan(vmas=(10,), naming=("distinct:9",), boots=3, blocks=2)
CELLS = 4
SUBJECT = subject_of("switch", play_well)


def block_of(
    session: str,
    boot: int,
    block: int,
    cells: int = CELLS,
    facts: Mapping[str, object] | None = None,
) -> list[Record]:
    """The records of a block's first cells, as a guest of PLAN leaves them."""
    records: list[Record] = []
    for position, cell in enumerate(PLAN.cells(SUBJECT.stores)[:cells]):
        run = run_of(
            run=f"{session}-{boot}-{block}-{position}", boot=boot, block=block,
            store=cell.store.value, vmas=cell.layout.vmas, naming=cell.naming.label,
        )  # fmt: skip
        changed = replace(run, session=session, **(facts or {}))  # type: ignore[arg-type]
        records += whole_run(changed, [100])
    return records


def standing(records: Iterable[Record]) -> Standing:
    return standing_of(records, PLAN, [SUBJECT])


def test_a_block_is_finished_when_one_guest_has_measured_all_of_it() -> None:
    found = standing([*block_of("a", 0, 0), *block_of("a", 0, 1, 3)])

    assert found.finished == {("switch", 0, 0)}
    assert found.kept["switch"].run == "a-0-0-0"
    assert found.left == ("a-0-1-0", "a-0-1-1", "a-0-1-2")


def test_halves_of_two_guests_are_no_block() -> None:
    found = standing([*block_of("a", 0, 0, 2), *block_of("b", 0, 0, 2)])

    assert found.finished == frozenset()
    assert len(found.left) == 4


def test_what_was_superseded_is_not_left_again() -> None:
    half = block_of("a", 0, 0, 2)
    marks = [Superseded(run=f"a-0-0-{n}", reason="x") for n in range(2)]

    assert standing([*half, *marks]).left == ()
    whole = standing([*half, *marks, *block_of("b", 0, 0)])
    assert whole.finished == {("switch", 0, 0)}
    assert whole.left == ()
    twice = standing([*half, *marks, *marks])
    assert twice == Standing()


def test_as_many_runs_of_other_cells_are_no_block(tmp_path: Path) -> None:
    """Somebody may import the runs of another plan, which took as many."""
    theirs = block_of("a", 0, 0, facts={"vmas": 1000})

    assert standing(theirs) == Standing()
    mine = block_of("a", 0, 0)
    assert standing([*mine, *theirs[: len(theirs) // 2]]).left == ()
    # The one cell twice and another not at all.
    again = block_of("a", 0, 0, 1, facts={"run": "again"})
    assert standing([*block_of("a", 0, 0, 3), *again]).finished == frozenset()


def test_runs_that_took_no_samples_are_not_left() -> None:
    """``audit`` adds such to a campaign: a block has no use for them."""
    run, *_, end = block_of("a", 0, 0, 1)
    assert isinstance(run, Run)
    count = Count(
        run=run.run, step="named", what="x", predicted=1, counted=1, agrees=True
    )

    assert standing([run, count, end]).left == ()


def test_a_cell_that_did_not_end_or_failed_its_check_leaves_its_block_open() -> None:
    *most, end = block_of("a", 1, 0)
    assert isinstance(end, RunEnd)

    assert standing(most).finished == frozenset()
    assert standing([*most, replace(end, valid=False)]).finished == frozenset()
    assert standing([*most, end]).finished == {("switch", 1, 0)}


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("variant", "strdup"),
        ("base", "6.1"),
        ("target", "uml"),
        ("accelerator", "kvm"),
        ("unit", "ns"),
        ("config_sha256", "of another"),
        ("kernel_release", "6.12.1-strdup"),
    ],
)
def test_runs_of_other_kernels_and_places_finish_nothing(fact: str, value: str) -> None:
    found = standing(block_of("a", 0, 0, facts={fact: value}))

    assert found == Standing()


def test_records_without_an_end_are_not_read_to_it(tmp_path: Path) -> None:
    sample = render_record(samples_of(run_of(), [1])[0]).rstrip()
    (tmp_path / "long").write_bytes(sample + b" " * LONGEST)

    for path in (Path("/dev/zero"), tmp_path / "long"):
        with pytest.raises(RecordError, match="longer than"):
            read_standing(path, PLAN, [SUBJECT])


def run_here(folder: Path, guest: object, plan: Plan = PLAN) -> Outcome:
    with appended_records(folder) as append:
        return run_plan(
            plan,
            [subject_of("switch", guest)],  # type: ignore[arg-type]
            folder=folder,
            append=append,
            listener=Listener(on_step=lambda s: None, on_cell=lambda *cell: None),
            parallel=1,
        )


def test_a_campaign_that_lost_its_guests_measures_every_cell_once(
    tmp_path: Path,
) -> None:
    # The guest is lost after ever more records, within runs and between them.
    lost_after = [3, 30, 90, 170, 171, 400]

    def fragile(job: Job, emit: Emit, stop: object) -> None:
        for record in (r for records in records_of(job) for r in records):
            if left[0] == 0:
                raise GuestLost("gone", "")
            left[0] -= 1
            emit(record)

    outcomes = []
    for limit in lost_after:
        left = [limit]
        try:
            outcomes.append(run_here(tmp_path, fragile))
        except GuestLost:
            continue
    done = run_here(tmp_path, play_well)
    again = run_here(tmp_path, play_well)

    assert done.kept + done.ended == done.planned == 3 * 2 * CELLS
    assert again == Outcome(planned=24, ended=0, invalid=(), kept=24)
    assert read_standing(tmp_path / "records.jsonl", PLAN, [SUBJECT]).left == ()
    frame = usable(load(tmp_path), "fork")
    assert len(frame) == 24 * PLAN.repetitions
    cells = frame.groupby(["boot", "block", "store", "naming"])["run"].nunique()
    assert sorted(set(cells)) == [1, 2]
    assert cells.sum() == 24


def test_more_boots_leave_those_before_as_they_are(tmp_path: Path) -> None:
    run_here(tmp_path, play_well)
    jobs: list[int] = []

    def guest(job: Job, emit: Emit, stop: object) -> None:
        jobs.append(job.boot)
        for records in records_of(job):
            for record in records:
                emit(record)

    outcome = run_here(tmp_path, guest, replace(PLAN, boots=5))

    assert jobs == [3, 4]
    assert outcome == Outcome(planned=40, ended=16, invalid=(), kept=24)


def test_superseded_samples_are_kept_and_not_analysed() -> None:
    run = run_of()
    records = [*whole_run(run, [100]), Superseded(run=run.run, reason="x")]

    frame = frame_of_records(records)

    assert len(frame) > 0
    assert not frame["run_valid"].any()
    assert isinstance(records[0], Run)


def test_what_may_not_be_pooled_with_what_was_kept_is_refused(tmp_path: Path) -> None:
    run_here(tmp_path, play_well)
    before = (tmp_path / "records.jsonl").read_bytes()

    def other(job: Job, emit: Emit, stop: object) -> None:
        for records in records_of(job):
            run = records[0]
            assert isinstance(run, Run)
            emit(replace(run, build_id="of a build since then"))

    with pytest.raises(UsageError, match=r"build_id differs.* another name"):
        run_here(tmp_path, other, replace(PLAN, boots=4))
    assert (tmp_path / "records.jsonl").read_bytes() == before


def test_another_protocol_is_refused_before_anything_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragile = block_of("a", 0, 0) + block_of("a", 0, 1, 2)
    write_records(tmp_path, fragile)
    monkeypatch.setattr(execute, "PROTOCOL", 99)
    before = (tmp_path / "records.jsonl").read_bytes()

    with pytest.raises(UsageError, match=rf"protocol differs: {PROTOCOL}, 99"):
        run_here(tmp_path, play_well)
    assert (tmp_path / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize("other", [{"harness": "0.9"}, {"python": "3.99.1"}])
def test_instructions_are_gone_on_with_by_another_harness_and_python(
    tmp_path: Path, other: dict[str, str]
) -> None:
    """Neither changes what one protocol measures on that clock."""
    run_here(tmp_path, play_well)

    def play(job: Job, emit: Emit, stop: object) -> None:
        for records in records_of(job):
            run, *rest = records
            assert isinstance(run, Run)
            for record in (replace(run, **other), *rest):  # type: ignore[arg-type]
                emit(record)

    outcome = run_here(tmp_path, play, replace(PLAN, boots=PLAN.boots + 1))

    assert outcome.kept > 0
    assert outcome.ended > 0
    assert outcome.invalid == ()
