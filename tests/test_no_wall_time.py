"""No test fails of the time that it takes: machines are shared."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=1)
@given(st.none())
def test_an_example_may_take_as_long_as_it_does(nothing: None) -> None:
    """Hypothesis has a deadline of 200 ms for each, unless it is told otherwise."""
    assert settings.default is not None
    assert settings.default.deadline is None
    time.sleep(0.21)
