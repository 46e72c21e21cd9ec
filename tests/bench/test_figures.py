import pytest

from tests.bench.figures import (
    Figure,
    Kind,
    Pair,
    Verdict,
    failed,
    judge,
    ratio_of,
    ratios_of,
    status_of,
)


def figure(kind: Kind, reach: float, *, exact: bool = False) -> Figure:
    return Figure(name="f", what="w", against="a", kind=kind, reach=reach, exact=exact)


def pairs(*sides: tuple[float, float]) -> list[Pair]:
    return [
        Pair(repetition=i, ours=ours, other=other, unit="ns", clock="c")
        for i, (ours, other) in enumerate(sides)
    ]


@pytest.mark.parametrize(
    ("kind", "ratio"),
    [
        (Kind.AT_MOST, 4.0),
        (Kind.UNDER, 4.0),
        (Kind.FASTER, 0.25),
        (Kind.WITHIN, 3.0),
        (Kind.ALWAYS_WITHIN, 3.0),
    ],
)
def test_a_ratio_is_of_what_its_kind_says(kind: Kind, ratio: float) -> None:
    (pair,) = pairs((8, 2))

    assert ratio_of(kind, pair) == ratio


def test_nothing_to_divide_by_is_no_success() -> None:
    (pair,) = pairs((8, 0))

    assert judge(figure(Kind.AT_MOST, 3), [pair]).verdict is Verdict.MISSED


@pytest.mark.parametrize(
    ("kind", "reach", "sides", "verdict"),
    [
        # The median, and not the mean or the worst, of what time is taken of.
        (Kind.AT_MOST, 3, [(2, 1), (3, 1), (90, 1)], Verdict.OK),
        (Kind.AT_MOST, 3, [(2, 1), (3.1, 1), (3.1, 1)], Verdict.MISSED),
        (Kind.FASTER, 5, [(1, 5), (1, 6), (1, 1)], Verdict.OK),
        (Kind.FASTER, 5, [(1, 4), (1, 4.9), (1, 90)], Verdict.MISSED),
        # Both sides of 1 count, and chance on both sides is evened out.
        (Kind.WITHIN, 0.01, [(98, 100), (100, 100), (103, 100)], Verdict.OK),
        (Kind.WITHIN, 0.01, [(98, 100), (98, 100), (103, 100)], Verdict.MISSED),
        # But not where chance is what is asked for.
        (Kind.ALWAYS_WITHIN, 0.01, [(100, 100), (98, 100)], Verdict.MISSED),
        (Kind.ALWAYS_WITHIN, 0.02, [(101, 100), (99, 100)], Verdict.OK),
        (Kind.UNDER, 1, [(9, 10), (10, 10)], Verdict.MISSED),
        (Kind.UNDER, 1, [(9, 10), (8, 10)], Verdict.OK),
    ],
)
def test_a_figure_is_judged_by_its_kind(
    kind: Kind, reach: float, sides: list[tuple[float, float]], verdict: Verdict
) -> None:
    assert judge(figure(kind, reach), pairs(*sides)).verdict is verdict


def test_the_spread_is_the_least_and_the_most() -> None:
    result = judge(figure(Kind.AT_MOST, 3), pairs((1, 1), (5, 1), (2, 1)))

    assert (result.middle, result.low, result.high) == (2, 1, 5)
    assert result.repetitions == 3


def test_a_repetition_of_several_sizes_is_as_good_as_its_worst() -> None:
    sizes = [
        Pair(repetition=0, ours=ours, other=10, unit="ns", clock="c", size=size)
        for size, ours in ((1, 10.0), (2, 20.0), (3, 5.0))
    ]

    assert ratios_of(Kind.AT_MOST, sizes) == [2]
    assert ratios_of(Kind.FASTER, sizes) == [0.5]


def test_nothing_measured_is_a_failure() -> None:
    assert judge(figure(Kind.AT_MOST, 3), []).verdict is Verdict.FAILED


def test_the_status_tells_of_what_was_missed() -> None:
    well = judge(figure(Kind.AT_MOST, 3), pairs((1, 1)))
    slow = judge(figure(Kind.AT_MOST, 3), pairs((4, 1)))
    dear = judge(figure(Kind.AT_MOST, 3, exact=True), pairs((4, 1)))
    lost = failed(figure(Kind.AT_MOST, 3), "the guest panicked")

    assert status_of([well], exact_only=False) == 0
    assert status_of([well, slow], exact_only=False) == 1
    # What hangs on the machine's load is not for a machine of CI's.
    assert status_of([well, slow], exact_only=True) == 0
    assert status_of([well, dear], exact_only=True) == 1
    assert status_of([well, lost], exact_only=True) == 1
