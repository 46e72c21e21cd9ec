"""How repetitions are taken: by turns, the collector off, one clock around each."""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Figure, Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a subject is told: how much to do, and where it may write.

    ``chosen`` are the names of the figures asked for; ``on_step`` is told what
    is being done.
    """

    quick: bool
    scratch: Path
    chosen: frozenset[str]
    on_step: Callable[[str], None]

    def pick(self, full: int, quick: int) -> int:
        """A size or a number of repetitions."""
        return quick if self.quick else full


Taken = tuple[str, Pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Figures that are taken together: ``measure`` yields each by its name.

    What befalls one befalls all of them; unless they are ``apart``, and only what
    ``Setting.chosen`` has is taken each time. Where it ``takes_time`` nobody else
    does on this machine meanwhile; others count instructions, or bytes.
    """

    figures: tuple[Figure, ...]
    measure: Callable[[Setting], Iterator[Taken]]
    apart: bool = False
    takes_time: bool = True


def elapsed_ns(call: Callable[[], object]) -> int:
    """How long a call takes; its result is dropped outside of the interval."""
    gc.collect()
    gc.disable()
    try:
        before = time.perf_counter_ns()
        result = call()
        after = time.perf_counter_ns()
    finally:
        gc.enable()
    del result
    return after - before


def by_turns(
    ours: Callable[[], float],
    other: Callable[[], float],
    *,
    repetitions: int,
    warmup: bool = True,
    unit: str = "ns",
    clock: str = "CLOCK_MONOTONIC",
) -> Iterator[Pair]:
    """A B, B A, A B: both numbers of each repetition, after one that is not kept."""
    if warmup:
        ours()
        other()
    for repetition in range(repetitions):
        if repetition % 2:
            second = other()
            first = ours()
        else:
            first = ours()
            second = other()
        yield Pair(
            repetition=repetition, ours=first, other=second, unit=unit, clock=clock
        )
