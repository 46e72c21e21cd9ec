import numpy as np
import pytest

from harness.analysis.stats import Verdict, holm, judge

MARGIN = 2.0


def boots(mean: float, spread: float, count: int = 8) -> list[float]:
    """One number a boot, evenly about a mean."""
    return list(mean + spread * np.linspace(-1, 1, count))


@pytest.mark.parametrize("count", [2, 5, 8])
@pytest.mark.parametrize("mean", [0.5, 1.5, 2.5, -3.0])
def test_what_is_undecided_says_how_many_more_boots_it_takes(
    mean: float, count: int
) -> None:
    judged = judge(boots(mean, 6, count), MARGIN)

    assert judged.verdict is Verdict.INCONCLUSIVE
    assert (judged.more_boots or 0) > 0


def test_no_number_of_boots_decides_what_lies_on_the_margin() -> None:
    judged = judge(boots(MARGIN, 1), MARGIN)

    assert (judged.verdict, judged.more_boots) == (Verdict.INCONCLUSIVE, None)


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [
        (3.6, Verdict.REGRESSED), (-3.6, Verdict.IMPROVED), (0.0, Verdict.EQUIVALENT)
    ],
)  # fmt: skip
def test_a_verdict_that_many_cells_take_away_is_told_with_what_it_takes(
    mean: float, verdict: Verdict
) -> None:
    told = judge(boots(mean, 2.2 if mean else 2.6), MARGIN)
    assert told.verdict is verdict

    taken, *_ = holm([told] + [judge(boots(0.5, 6), MARGIN)] * 30)

    assert (taken.verdict, taken.before) == (Verdict.INCONCLUSIVE, verdict)
    assert (taken.more_boots or 0) > 0


def test_more_cells_take_more_boots() -> None:
    open_ = judge(boots(0.5, 6), MARGIN)

    few, many = holm([open_] * 2)[0], holm([open_] * 20)[0]

    assert (open_.more_boots or 0) < (few.more_boots or 0) < (many.more_boots or 0)


def test_a_verdict_that_stays_was_never_another() -> None:
    clear = judge(boots(9, 1), MARGIN)

    stays, _ = holm([clear, judge(boots(0.5, 6), MARGIN)])

    assert (stays.verdict, stays.before) == (Verdict.REGRESSED, None)
    assert holm([]) == []
