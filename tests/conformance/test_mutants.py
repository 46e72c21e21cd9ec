from dataclasses import replace

from harness.conformance.mutants import MutantResult, of_the_day
from harness.conformance.playing import Found
from harness.divergence import Divergence, Kernel, Recording
from harness.kbuild.mutant import mutant_named
from harness.model import Behaviour
from harness.workload.ops import Fork, Map, Op, Step, Unmap

KILLED = mutant_named("fork-forgets-names")


def found_at(op: Op) -> Found:
    step = Step(0, op)
    return Found(
        divergence=Divergence(kind="content", index=0, step=step, who=0),
        recording=Recording(pages=8, steps=(step,), kernel={}, seen=()),
        kernel=Kernel(Behaviour(), 0, ""),
    )


def test_a_mutant_must_be_seen_where_its_bug_is() -> None:
    seen = MutantResult(mutant=KILLED, operations=1, found=found_at(Fork(1)))

    assert seen.as_expected
    assert not replace(seen, found=found_at(Unmap(0, 1))).as_expected
    assert not replace(seen, found=None).as_expected


def test_a_mutant_of_memory_must_be_seen_in_memory() -> None:
    mutant = mutant_named("rename-leaks-a-reference")
    survived = MutantResult(mutant=mutant, operations=1, found=None)

    assert not survived.as_expected
    assert not replace(survived, found=found_at(Fork(1))).as_expected
    assert replace(survived, wrong_count="cycles: expected 1").as_expected


def test_stock_must_agree() -> None:
    agreed = MutantResult(mutant=None, operations=1, found=None)

    assert agreed.as_expected
    assert not replace(agreed, found=found_at(Map(0, 1, 3))).as_expected


def test_all_mutants_come_round_as_days_go_by() -> None:
    names = [f"m{i}" for i in range(10)]

    days = [of_the_day(names, 3, day) for day in range(738_000, 738_010)]

    assert all(len(set(day)) == 3 for day in days)
    assert {name for day in days for name in day} == set(names)
    assert of_the_day(names, 99, 5) == names[5 * 99 % 10 :] + names[: 5 * 99 % 10]
