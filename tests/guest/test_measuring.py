"""A whole job in a guest: what is recorded, and that it can be believed."""

from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from harness.targets import QemuTarget
from harness.worker.measure import Record, Run, RunEnd, Sample
from harness.workload import Store
from tests.jobs import job_of

pytestmark = pytest.mark.guest

Boot = Callable[..., QemuTarget]

VMAS = 8000
NAMES = "distinct:79"

# What a fork costs more with names, in instructions a VMA: far apart, so that no
# noise turns one into the other.
SHARING_COSTS = range(5, 30)
COPYING_COSTS = range(120, 300)


def cost_of_names(records: list[Record], store: Store) -> float:
    """Extra instructions a VMA at fork, named over unnamed."""
    named = {
        r.run for r in records
        if isinstance(r, Run) and r.naming != "none" and r.store == store.value
    }  # fmt: skip
    unnamed = {r.run for r in records if isinstance(r, Run) and r.naming == "none"}
    forks = [
        r for r in records
        if isinstance(r, Sample) and r.metric == "fork" and not r.warmup
    ]  # fmt: skip
    assert all(fork.valid for fork in forks)
    return (
        median(f.value for f in forks if f.run in named)
        - median(f.value for f in forks if f.run in unnamed)
    ) / VMAS


@pytest.mark.parametrize("base", [pytest.param("6.12", marks=pytest.mark.first), "6.1"])
def test_both_stores_of_the_switch_kernel_cost_what_they_should(
    boot_target: Boot, console: Path, base: str
) -> None:
    records: list[Record] = []
    job = job_of(
        [
            (Store.STRDUP, VMAS, 0, NAMES),
            (Store.REFCOUNTED, VMAS, 0, "none"),
            (Store.REFCOUNTED, VMAS, 0, NAMES),
        ],
        base=base,
        repetitions=4,
    )

    boot_target("switch", base).run_job(job, records.append, console)

    assert int(cost_of_names(records, Store.REFCOUNTED)) in SHARING_COSTS
    assert int(cost_of_names(records, Store.STRDUP)) in COPYING_COSTS


@pytest.mark.parametrize("base", ["6.12", "6.1"])
@pytest.mark.parametrize(
    ("variant", "store", "costs"),
    [
        ("refcount", Store.REFCOUNTED, SHARING_COSTS),
        ("strdup", Store.STRDUP, COPYING_COSTS),
    ],
)
def test_a_kernel_of_one_store_costs_what_that_store_should(
    boot_target: Boot,
    console: Path,
    variant: str,
    base: str,
    store: Store,
    costs: range,
) -> None:
    records: list[Record] = []
    job = job_of(
        [(store, VMAS, 0, "none"), (store, VMAS, 0, NAMES)],
        stores=(store,),
        variant=variant,
        base=base,
        repetitions=4,
    )

    boot_target(variant, base).run_job(job, records.append, console)

    assert int(cost_of_names(records, store)) in costs


@pytest.mark.parametrize("base", ["6.12", "6.1"])
def test_the_kernel_without_names_is_measured_unnamed(
    boot_target: Boot, console: Path, base: str
) -> None:
    records: list[Record] = []
    job = job_of(
        [(Store.ABSENT, 300, 1, "none")],
        stores=(Store.ABSENT,),
        variant="none",
        base=base,
    )

    boot_target("none", base).run_job(job, records.append, console)

    samples = [r for r in records if isinstance(r, Sample)]
    assert {s.store for s in samples} == {"absent"}
    assert [s.metric for s in samples] == ["fork", "exit_reap"] * 3 + ["munmap"]


def test_every_metric_is_recorded_in_order_with_the_facts_of_the_run(
    boot_target: Boot, console: Path
) -> None:
    records: list[Record] = []
    target = boot_target()
    job = job_of([(Store.STRDUP, 50, 10, "shared:7")])

    target.run_job(job, records.append, console)

    run, *between, end = records
    samples = [r for r in between if isinstance(r, Sample)]
    assert samples == between
    assert isinstance(run, Run)
    assert isinstance(end, RunEnd)
    assert (end.run, end.valid, end.reason) == (run.run, True, "")
    assert [(s.order, s.metric, s.repetition, s.warmup) for s in samples] == [
        (0, "name", 0, False),
        (1, "fork", 0, True),
        (2, "exit_reap", 0, True),
        (3, "fork", 1, False),
        (4, "exit_reap", 1, False),
        (5, "fork", 2, False),
        (6, "exit_reap", 2, False),
        (7, "rename", 0, False),
        (8, "munmap", 0, False),
    ]
    assert {(s.unit, s.store, s.valid) for s in samples} == {("insns", "strdup", True)}
    assert (run.vmas, run.vma_pages, run.written_pages) == (50, 10, 10)
    assert (run.naming, run.name_length) == ("shared", 7)
    assert (run.machine, run.unit, run.fifo) == ("aarch64", "insns", True)
    assert run.kernel_release.endswith("-switch")
    assert run.build_id is not None
    assert run.config_sha256 is not None
    assert run.clock_step == 16


def test_more_vmas_than_the_limit_are_made_by_raising_it(
    boot_target: Boot, console: Path
) -> None:
    records: list[Record] = []
    job = job_of([(Store.REFCOUNTED, 66_000, 0, "shared:1")], repetitions=1)

    boot_target().run_job(job, records.append, console)

    (run,) = (r for r in records if isinstance(r, Run))
    assert run.max_map_count > 66_000 > 65_530
    assert run.map_count > 66_000
