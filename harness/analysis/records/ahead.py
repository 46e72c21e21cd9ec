"""Runs calls in a thread pool before their results are needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def results_of(
    pool: ThreadPoolExecutor, calls: Iterable[Callable[[], T]], *, ahead: int
) -> Iterator[T]:
    """The results of the calls, in order; ``ahead`` calls start before they are needed.

    Raises the exception of a call when its result is due.
    """
    started: deque[Future[T]] = deque()
    for call in calls:
        started.append(pool.submit(call))
        if len(started) > ahead:
            yield started.popleft().result()
    while started:
        yield started.popleft().result()
