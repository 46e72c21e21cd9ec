"""Campaigns whose guests only play records: what becomes of them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.campaign import Listener, Outcome, Plan, check_names, execute, run_plan
from harness.errors import BadRecord, CheckFailed, GuestHung, Stopped, UnsupportedError
from harness.host import clock_lock
from harness.kbuild import variant_named
from harness.targets.subjects import Subject
from harness.worker.measure import Conditions, Count, Job, Record, Run, RunEnd
from harness.worker.measure.conditions import ICOUNT, SILICON_GUEST
from tests.synthetic import run_of, whole_run

Emit = Callable[[Record], None]
# What a guest does: it is given its job, who takes its records, and when to stop.
Guest = Callable[[Job, Emit, threading.Event], None]

PLAN = Plan(vmas=(10, 20), naming=("distinct:9",), boots=3)
# Nothing here waits so long unless it is broken.
LONG_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedTarget:
    """In place of a guest's target."""

    guest: Guest
    stop: threading.Event
    conditions: Conditions = ICOUNT

    def run_job(self, job: Job, on_record: Emit, console: Path) -> None:
        self.guest(job, on_record, self.stop)


def subject_of(
    name: str, guest: Guest, conditions: Conditions = ICOUNT, built: bool = True
) -> Subject:
    return Subject(
        name=name,
        title=f"variant {name}",
        built=built,
        base="6.12",
        stores=variant_named(name).stores,
        config_sha256=f"sha of {name} 6.12",
        release_end=f"-{name}",
        target=lambda stop: ScriptedTarget(
            guest=guest, stop=stop, conditions=conditions
        ),
    )


def records_of(job: Job) -> list[list[Record]]:
    """The records of each cell of a job, on the kernel that it is meant for."""
    return [
        whole_run(
            run_of(
                run=f"{job.session}-{job.boot}-{position}", variant=job.variant,
                base=job.base, store=planned.cell.store.value,
                vmas=planned.cell.layout.vmas, naming=planned.cell.naming.label,
                boot=job.boot, position=position, block=planned.block,
            ),
            [100] * job.repetitions,
        )
        for position, planned in enumerate(job.cells)
    ]  # fmt: skip


def play_well(job: Job, emit: Emit, stop: threading.Event) -> None:
    for records in records_of(job):
        for record in records:
            emit(record)


@dataclass
class Campaign:
    """Runs plans in a folder, and remembers what was recorded and told."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    recorded: list[Record] = field(default_factory=list)
    told: list[tuple[int, int, str]] = field(default_factory=list)
    conditions: Conditions = ICOUNT
    built: bool = True

    def run(self, guest: Guest, *, plan: Plan = PLAN, parallel: int = 2) -> Outcome:
        return run_plan(
            plan,
            [
                subject_of(name, guest, self.conditions, self.built)
                for name in plan.variants
            ],
            folder=self.folder,
            append=self.recorded.append,
            listener=Listener(
                on_step=lambda step: None,
                on_cell=lambda *cell: self.told.append(cell),
            ),
            parallel=parallel,
        )


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """A campaign on a machine with room for every guest."""
    monkeypatch.setattr(execute, "_available_mib", lambda: 1 << 20)
    # Whoever takes time on this machine meanwhile is not disturbed by this.
    monkeypatch.setattr(clock_lock, "lock_file", lambda: tmp_path / "clock_lock.lock")
    return Campaign(tmp_path, monkeypatch)


def test_every_boot_of_the_plan_gets_its_job(campaign: Campaign) -> None:
    jobs: list[Job] = []

    def guest(job: Job, emit: Emit, stop: threading.Event) -> None:
        jobs.append(job)

    plan = replace(PLAN, variants=("none", "switch"), seed=5)
    campaign.run(guest, plan=plan)

    jobs.sort(key=lambda job: job.boot)
    assert [(job.boot, job.variant) for job in jobs] == plan.boots_in_order(
        plan.variants
    )
    for job in jobs:
        assert job.cells == plan.cells_of_boot(job.boot, job.stores)
        assert job.stores == variant_named(job.variant).stores
        assert (job.campaign, job.seed) == (campaign.folder.name, 5)
        assert (job.warmups, job.repetitions) == (plan.warmups, plan.repetitions)
        assert job.launched.endswith("+00:00")
    assert len({job.session for job in jobs}) == 1


def test_all_that_guests_say_is_recorded_and_counted(campaign: Campaign) -> None:
    outcome = campaign.run(play_well)

    # Two layouts, twice unnamed and named in each of two stores, in three boots.
    assert outcome == Outcome(planned=24, ended=24, invalid=())
    said = {record for record in campaign.recorded if isinstance(record, Run)}
    assert {(run.boot, run.position) for run in said} == {
        (boot, position) for boot in range(3) for position in range(8)
    }
    assert len(campaign.recorded) == sum(
        len(whole_run(r, [100] * PLAN.repetitions)) for r in said
    )
    assert [(ended, planned) for ended, planned, _ in campaign.told] == [
        (number, 24) for number in range(1, 25)
    ]


def test_a_cell_that_failed_its_check_is_recorded_and_told(campaign: Campaign) -> None:
    def guest(job: Job, emit: Emit, stop: threading.Event) -> None:
        for run, *samples, end in records_of(job):
            assert isinstance(run, Run)
            assert isinstance(end, RunEnd)
            if job.boot == 1 and run.vmas == 20 and run.naming == "none":
                emit(run)
                emit(replace(end, valid=False, reason="VMA 3 is not as built"))
            else:
                for record in (run, *samples, end):
                    emit(record)

    outcome = campaign.run(guest)

    assert outcome == Outcome(
        planned=24,
        ended=24,
        invalid=(
            "refcounted, 20 VMAs of 1 pages (0 written), naming none: "
            "VMA 3 is not as built",
        )
        * 2,
    )
    assert [r.valid for r in campaign.recorded if isinstance(r, RunEnd)].count(
        False
    ) == 2


def test_a_guest_that_is_hung_stops_the_others_and_is_the_error(
    campaign: Campaign,
) -> None:
    other_runs = threading.Event()
    stopped: list[int] = []

    def guest(job: Job, emit: Emit, stop: threading.Event) -> None:
        if job.boot == 1:
            assert other_runs.wait(LONG_S)
            for record in records_of(job)[0]:
                emit(record)
            raise GuestHung("it fell silent", "")
        other_runs.set()
        assert stop.wait(LONG_S)
        stopped.append(job.boot)
        raise Stopped("told to stop")

    with pytest.raises(GuestHung, match="it fell silent"):
        campaign.run(guest)

    assert 0 in stopped
    (run, *_, end) = campaign.recorded
    assert isinstance(run, Run)
    assert run.boot == 1
    assert isinstance(end, RunEnd)
    assert (end.run, end.valid) == (run.run, True)


def test_boots_that_had_not_begun_do_not_begin_after_an_error(
    campaign: Campaign,
) -> None:
    begun: list[int] = []

    def guest(job: Job, emit: Emit, stop: threading.Event) -> None:
        begun.append(job.boot)
        if job.boot == 0:
            raise GuestHung("it fell silent", "")
        assert stop.wait(LONG_S)
        raise Stopped("told to stop")

    with pytest.raises(GuestHung):
        campaign.run(guest, plan=replace(PLAN, boots=50), parallel=1)

    assert len(begun) < 50


def test_ctrl_c_stops_every_guest(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = threading.Event()
    stopped: list[int] = []

    def guest(job: Job, emit: Emit, stop: threading.Event) -> None:
        runs.set()
        assert stop.wait(LONG_S)
        stopped.append(job.boot)
        raise Stopped("told to stop")

    def interrupt(futures: object, timeout: float, return_when: str) -> None:
        assert runs.wait(LONG_S)
        raise KeyboardInterrupt

    monkeypatch.setattr(execute, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        campaign.run(guest)

    assert stopped


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("config_sha256", "of another kernel"),
        ("config_sha256", None),
        ("kernel_release", "6.12.1-strdup"),
        ("kernel_release", "6.12.1"),
    ],
)
def test_a_guest_that_runs_another_kernel_is_refused_before_its_first_record(
    campaign: Campaign, fact: str, value: str | None
) -> None:
    def guest(job: Job, emit: Emit, stop: threading.Event) -> None:
        for run, *rest in records_of(job):
            assert isinstance(run, Run)
            emit(replace(run, **{fact: value}))  # type: ignore[arg-type]
            for record in rest:
                emit(record)

    with pytest.raises(CheckFailed, match="variant switch runs another kernel"):
        campaign.run(guest)

    assert campaign.recorded == []


def test_guests_run_at_the_same_time(campaign: Campaign) -> None:
    together = threading.Barrier(3)

    def guest(job: Job, emit: Emit, stop: threading.Event) -> None:
        together.wait(LONG_S)
        play_well(job, emit, stop)

    outcome = campaign.run(guest, parallel=3)

    assert outcome.ended == outcome.planned


def test_where_time_is_taken_there_is_one_guest_at_a_time(campaign: Campaign) -> None:
    running = threading.Semaphore(1)

    def guest(job: Job, emit: Emit, stop: threading.Event) -> None:
        assert running.acquire(blocking=False)
        play_well(job, emit, stop)
        running.release()

    campaign.conditions = SILICON_GUEST
    outcome = campaign.run(guest, parallel=8)

    assert outcome.ended == outcome.planned


def test_names_on_a_kernel_of_the_user_s_that_keeps_none_are_not_supported() -> None:
    mine = subject_of("none", play_well, built=False)

    with pytest.raises(UnsupportedError, match=r"cannot name memory.*--target uml"):
        check_names(PLAN, [mine])
    check_names(replace(PLAN, naming=("none",)), [mine])
    # Ours is the baseline of the others.
    check_names(PLAN, [replace(mine, built=True)])


@pytest.mark.parametrize(
    ("parallel", "boots", "room_mib", "guests"),
    [
        (1, 6, 1 << 20, 1),
        (3, 6, 1 << 20, 3),
        (8, 2, 1 << 20, 2),
        (3, 6, 1500, 2),
        (3, 6, 100, 1),
    ],
)
def test_guests_at_a_time_are_no_more_than_asked_for_planned_or_have_room(
    campaign: Campaign,
    monkeypatch: pytest.MonkeyPatch,
    parallel: int,
    boots: int,
    room_mib: int,
    guests: int,
) -> None:
    sizes: list[int] = []

    def pool(size: int) -> ThreadPoolExecutor:
        sizes.append(size)
        return ThreadPoolExecutor(size)

    monkeypatch.setattr(execute, "ThreadPoolExecutor", pool)
    monkeypatch.setattr(execute, "_available_mib", lambda: room_mib)
    campaign.run(play_well, plan=replace(PLAN, boots=boots), parallel=parallel)

    assert sizes == [guests]


@pytest.mark.parametrize(
    "said",
    ["a run twice", "another's run", "a run too many", "a sample of no run",
     "samples without end", "an end before its run", "a count"],
)  # fmt: skip
def test_a_guest_says_what_its_job_asks_for_and_no_more(
    campaign: Campaign, said: str
) -> None:
    def guest(job: Job, emit: Emit, stop: threading.Event) -> None:
        cells = records_of(job)
        (run, sample, *_, end), second = cells[0], cells[1][0]
        assert isinstance(run, Run)
        assert isinstance(second, Run)
        broken: dict[str, list[Record]] = {
            "a run twice": [run, run],
            "another's run": [replace(run, run="../../x")],
            "a run too many": [
                *(r for cell in cells for r in cell),
                replace(run, run=f"{job.session}-{job.boot}-8", position=8),
            ],
            "a sample of no run": [sample],
            "samples without end": [run, *[sample] * 10_000],
            "an end before its run": [end],
            "a count": [run, Count(run=run.run, step="", what="", predicted=0,
                                   counted=0, agrees=True)],
        }  # fmt: skip
        for record in broken[said]:
            emit(record)

    with pytest.raises(BadRecord, match="that its job does not expect"):
        campaign.run(guest, plan=replace(PLAN, boots=1))

    assert len(campaign.recorded) < 200
