import contextlib
import gc

import pytest

from harness.lean.collector import collector_at_rest


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_rests_inside_and_is_as_it_was_after(on: bool) -> None:
    was_on = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        with contextlib.suppress(ZeroDivisionError), collector_at_rest():
            inside = gc.isenabled()
            raise ZeroDivisionError
        after = gc.isenabled()
    finally:
        (gc.enable if was_on else gc.disable)()

    assert (inside, after) == (False, on)
