"""Work that is begun before its result is asked for."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def results_of(
    pool: ThreadPoolExecutor, calls: Iterable[Callable[[], T]], *, ahead: int
) -> Iterator[T]:
    """What each call returns, in their order, ``ahead`` of them begun early.

    Raises what a call raised, in its turn.
    """
    begun: deque[Future[T]] = deque()
    for call in calls:
        begun.append(pool.submit(call))
        if len(begun) > ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
