import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.analysis.records.ahead import results_of


def test_results_come_in_the_order_of_their_calls() -> None:
    first = threading.Event()

    def slow() -> int:
        # The second is done before it.
        assert first.wait(60)
        return 1

    def quick() -> int:
        first.set()
        return 2

    with ThreadPoolExecutor(2) as pool:
        assert list(results_of(pool, [slow, quick, lambda: 3], ahead=2)) == [1, 2, 3]


def test_no_more_calls_are_taken_than_are_to_be_ahead() -> None:
    taken = itertools.count()

    def calls() -> Iterator[Callable[[], int]]:
        for number in taken:
            yield lambda number=number: number  # type: ignore[misc]

    with ThreadPoolExecutor(1) as pool:
        results = results_of(pool, calls(), ahead=3)
        assert next(results) == 0

    assert next(taken) == 4


def test_what_a_call_raised_is_raised_in_its_turn() -> None:
    def broken() -> int:
        raise ValueError("why")

    with ThreadPoolExecutor(1) as pool:
        results = results_of(pool, [lambda: 1, broken, lambda: 3], ahead=2)

        assert next(results) == 1
        with pytest.raises(ValueError, match="why"):
            next(results)
