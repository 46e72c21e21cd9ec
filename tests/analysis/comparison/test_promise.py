import json
from dataclasses import asdict

import pytest

from harness.analysis.comparison.promise import promise_of, takes
from harness.analysis.processes import Arm
from harness.campaign import Plan
from harness.kbuild import variant_named
from harness.workload import NamingKind


def arm(naming: str = "none", length: int = 0, **layout: int) -> Arm:
    facts = {"vmas": 1000, "vma_pages": 1, "written_pages": 0} | layout
    store = "any" if naming == "none" else "refcounted"
    return Arm(**facts, store=store, naming=naming, name_length=length)


def test_a_plan_promises_the_cells_that_it_measures() -> None:
    plan = Plan(
        vmas=(1000, 4000), pages=(0, 10), naming=("shared:79", "distinct:63"),
        boots=3, blocks=2,
    )  # fmt: skip
    kept = json.loads(json.dumps(asdict(plan)))

    promise = promise_of(kept, lambda name: ("refcounted", "strdup"))

    assert promise is not None
    assert (promise.boots, promise.blocks) == (3, 2)
    arms = promise.arms(["refcounted", "strdup"])
    cells = {
        (
            c.layout.vmas,
            c.layout.written_pages,
            c.naming.kind,
            c.named and c.store.value,
        )
        for c in plan.cells(variant_named("switch").stores)
    }
    assert cells == {
        (a.vmas, a.written_pages, NamingKind(a.naming), a.named and a.store)
        for a in arms
    }
    assert (
        promise.arms(["absent"]) == promise.arms([]) == {a for a in arms if not a.named}
    )


def test_a_plan_without_cells_promises_nothing() -> None:
    assert promise_of({"margin": 2.0}, lambda name: None) is None


@pytest.mark.parametrize(
    ("metric", "taking", "others"),
    [
        ("fork", [arm(), arm("shared", 79)], []),
        ("name", [arm("shared", 79), arm("shared", 0)], [arm()]),
        ("rename", [arm("shared", 79)], [arm(), arm("shared", 0)]),
        ("split", [arm(vma_pages=2), arm(vma_pages=3, written_pages=2)],
         [arm(), arm(vma_pages=2, written_pages=2)]),
    ],
)  # fmt: skip
def test_which_arms_have_a_metric(
    metric: str, taking: list[Arm], others: list[Arm]
) -> None:
    assert all(takes(metric, each) for each in taking)
    assert not any(takes(metric, each) for each in others)
