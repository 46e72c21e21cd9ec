import numpy as np
import pytest
from scipy import stats

from harness.analysis.comparison.unpaired import change, difference
from harness.analysis.stats import Interval, Verdict, ratio_of_means

SLOW = [101.0, 99.0, 102.0, 98.0, 100.5, 103.0, 97.0]
FAST = [90.0, 91.5, 88.0, 92.0, 89.0, 90.5]


def test_a_difference_has_the_interval_of_welch_s_test() -> None:
    test = stats.ttest_ind(FAST, SLOW, equal_var=False).confidence_interval()

    found = difference(SLOW, FAST, exact=False)

    assert (found.low, found.high) == pytest.approx((test.low, test.high))
    assert found.value == pytest.approx(np.mean(FAST) - np.mean(SLOW))
    assert (found.boots, found.kind) == (6, "welch")


def test_a_change_is_what_a_test_of_it_does_not_refuse() -> None:
    found, _ = change(SLOW, FAST, SLOW, margin=2, exact=False)

    for bound in (found.low, found.high):
        scaled = np.array(SLOW) * (1 + bound / 100)
        p = stats.ttest_ind(FAST, scaled, equal_var=False).pvalue
        assert p == pytest.approx(0.05, abs=0.002)
    ratio = ratio_of_means(FAST, SLOW, paired=False)
    assert ratio is not None
    assert found.value == pytest.approx((ratio.value - 1) * 100)


def test_a_change_of_effects_is_in_percent_of_the_first_side_s_base() -> None:
    extra, more = [10.0, 11, 9, 10, 10.5, 9.5], [12.0, 13, 11, 12, 12.5, 11.5]
    base = [100.0, 102, 98, 101, 99, 100]

    found, judged = change(extra, more, base, margin=1, exact=False)

    assert found.value == pytest.approx(2)
    assert found.low < 2 < found.high
    assert judged.verdict is Verdict.REGRESSED


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ([103, 104, 103], Verdict.REGRESSED), ([96, 97, 96], Verdict.IMPROVED),
        ([100, 101, 100], Verdict.EQUIVALENT), ([101, 103, 102], Verdict.INCONCLUSIVE),
    ],
)  # fmt: skip
def test_instructions_are_judged_by_every_boot_against_every_other(
    second: list[float], verdict: Verdict
) -> None:
    found, judged = change([100, 100, 100.5], second, [100, 100, 100.5], margin=2,
                           exact=True)  # fmt: skip

    assert judged.verdict is verdict
    assert found.low == pytest.approx((min(second) / 100.5 - 1) * 100)
    assert found.high == pytest.approx(max(second) - 100)
    assert found.value == pytest.approx(np.median(second) - 100)
    assert (found.kind, judged.p) == ("range", None)


@pytest.mark.parametrize("exact", [True, False])
def test_one_boot_decides_nothing(exact: bool) -> None:
    found, judged = change([100.0], [200.0, 201.0], [100.0], margin=2, exact=exact)

    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.more_boots == (1 if exact else 5)
    assert (found.low, found.high) == pytest.approx((100, 101))


def test_a_base_that_may_be_zero_has_a_range_and_no_interval() -> None:
    base = [1.0, 200, 1, 300, 1, 1]

    found, _ = change(base, SLOW, base, margin=2, exact=False)

    assert found.kind == "range"
    assert found.low <= found.value <= found.high


def test_boots_that_are_all_the_same_have_no_noise() -> None:
    found, judged = change([5.0] * 6, [10.0] * 6, [5.0] * 6, margin=2, exact=False)

    assert found == Interval(100, 100, 100, 6, "range")
    assert (judged.verdict, judged.p) == (Verdict.REGRESSED, 0)
    assert difference([5.0] * 6, [10.0] * 6, exact=False).low == 5
