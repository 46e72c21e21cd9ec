import pytest

from tests.analysis import calibration_compare
from tests.analysis.calibration import Rate, rates


@pytest.mark.long
def test_intervals_and_verdicts_are_what_they_say() -> None:
    out = [rate for rate in rates(150, boots=(8,)) if not rate.well]

    assert out == []


@pytest.mark.long
def test_what_compare_says_of_two_campaigns_is_what_it_says() -> None:
    figures = calibration_compare.rates(100, boots=(6,))

    assert [rate for rate in figures if not rate.well] == []


def test_a_figure_out_of_bounds_is_seen() -> None:
    assert not Rate("", 80, 100, 0.93, 0.97).well
    assert Rate("", 95, 100, 0.93, 0.97).well
