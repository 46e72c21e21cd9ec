"""When two workers measure the same, on numbers that are made up."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.errors import JobFailed
from tests.protocol.judging import Held, Number, held, numbers_of

FORK = Number("fork", 1000, 1, 0, "none", 0, "any")


def boots(*values: float) -> list[dict[Number, float]]:
    return [{FORK: value} for value in values]


def held_fork(old: Sequence[float], new: Sequence[float]) -> Held:
    (row,) = held(boots(*old), boots(*new))
    return row


def test_a_difference_within_that_of_one_worker_from_itself_is_none() -> None:
    row = held_fork((1000, 1004, 1000, 1000), (1003, 1003, 1003, 1003))

    assert (row.old, round(row.percent, 6), round(row.null, 6)) == (1000, 0.3, 0.4)
    assert row.same


def test_a_difference_beyond_it_is_another_protocol() -> None:
    assert not held_fork((1000, 1001, 1000, 1000), (1002, 1002, 1002, 1003)).same
    assert not held_fork((1000, 1001, 1000, 1000), (998, 998, 998, 998)).same


def test_workers_that_are_exact_may_not_differ_at_all() -> None:
    assert held_fork((1000,) * 4, (1000,) * 4).same
    assert not held_fork((1000,) * 4, (1001,) * 4).same


def test_the_null_is_that_of_the_arm_that_is_furthest_from_itself() -> None:
    """Of the same metric and layout: its modes are those of all arms."""
    named = replace(FORK, naming="distinct", name_length=79, store="strdup")
    other = replace(FORK, vmas=4000)
    old = [{FORK: 1000.0, named: 2000.0, other: 4000.0} for _ in range(4)]
    new = [{FORK: 1001.0, named: 2000.0 + i, other: 4001.0} for i in range(4)]

    rows = {row.number: row for row in held(old, new)}

    assert [round(rows[n].null, 6) for n in (FORK, named, other)] == [0.15, 0.15, 0]
    assert [rows[n].same for n in (FORK, named, other)] == [True, True, False]


@pytest.mark.parametrize(("metric", "same"), [("rename", True), ("munmap", False)])
def test_a_loop_of_calls_has_the_null_of_all_layouts(metric: str, same: bool) -> None:
    """A mode of its calls is one of each, however many they are."""
    small, large = replace(FORK, metric=metric), replace(FORK, metric=metric, vmas=9000)
    old = [{small: 1000.0, large: 9000.0} for _ in range(4)]
    new = [{small: 1000.0 + i, large: 9009.0} for i in range(4)]

    rows = {row.number: row for row in held(old, new)}

    assert rows[large].same is same


def test_numbers_that_one_boot_lacks_are_named() -> None:
    split = Number("split", 2000, 2, 1, "distinct", 79, "strdup")
    new = boots(1, 1, 1, 1)
    new[2][split] = 3

    with pytest.raises(JobFailed, match="split of 2000 VMAs, 1/2 pages, distinct:79"):
        held(boots(1, 1, 1, 1), new)


def record(kind: str, **fields: object) -> bytes:
    known: dict[str, dict[str, object]] = {
        "run": {"run": "a", "vmas": 1000, "vma_pages": 1, "written_pages": 0,
                "naming": "none", "name_length": 0},
        "sample": {"run": "a", "metric": "fork", "value": 1, "store": "refcounted",
                   "valid": True, "warmup": False, "reason": ""},
        "end": {"run": "a", "valid": True, "reason": "", "seal": ""},
    }  # fmt: skip
    return json.dumps({"kind": kind, **known.get(kind, {}), **fields}).encode()


def test_a_boot_has_the_median_of_each_metric_of_each_cell() -> None:
    """Whatever the schema: what else a record says is not looked at."""
    found = numbers_of(
        [
            record("run", schema=99, run="a"), record("run", run="b"),
            record("sample", value=900, warmup=True),
            record("sample", value=10), record("sample", value=20, run="b"),
            record("sample", value=60), record("sample", metric="munmap", value=7),
            record("end"), record("status", code=0),
        ]
    )  # fmt: skip

    assert found == {FORK: 20, Number("munmap", 1000, 1, 0, "none", 0, "any"): 7}


@pytest.mark.parametrize("kind", ["sample", "end"])
def test_what_is_not_valid_is_not_left_out(kind: str) -> None:
    with pytest.raises(JobFailed, match="the child was killed"):
        numbers_of(
            [record("run"), record(kind, valid=False, reason="the child was killed")]
        )
