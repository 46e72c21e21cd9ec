import os
import time
from types import SimpleNamespace

import pytest

from harness.linux import clockkind, counts_instructions, read_maps

CLOCK = time.CLOCK_MONOTONIC


@pytest.mark.skipif(os.uname().machine not in clockkind._LOOPS, reason="no loops")
def test_the_chain_takes_longer_than_the_countdown() -> None:
    """The code runs as it should here; guests' tests say what it tells."""
    (few, _), (many, _) = clockkind._LOOPS[os.uname().machine]

    countdown, chain = (
        clockkind._nanoseconds_per_turn(code, CLOCK) for code in (few, many)
    )

    assert 0 < countdown < chain


@pytest.mark.skipif(os.uname().machine not in clockkind._LOOPS, reason="no loops")
def test_no_memory_can_be_written_and_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instruction cache need not see what was written since."""

    def both() -> int:
        return sum(b" rwx" in line for line in read_maps().splitlines())

    before, seen = both(), []

    def look(clock: int) -> int:
        seen.append(both())
        return len(seen)

    monkeypatch.setattr(clockkind, "time", SimpleNamespace(clock_gettime_ns=look))
    few, _ = clockkind._LOOPS[os.uname().machine][0]
    clockkind._nanoseconds_per_turn(few, CLOCK)

    assert set(seen) == {before}


def on_machine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    *others, _ = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*others, name)))


@pytest.mark.parametrize(
    ("countdown", "chain", "counts"),
    [
        (2.0, 6.0, True),
        (2.01, 5.99, True),
        # A processor of 1 GHz that does an instruction a cycle, and no faster.
        (2.0, 14.0, False),
        (0.24, 2.9, False),
        (0.24, 6.0, False),
    ],
)
def test_both_loops_take_a_nanosecond_an_instruction_or_it_is_time(
    monkeypatch: pytest.MonkeyPatch, countdown: float, chain: float, counts: bool
) -> None:
    costs = iter([countdown, chain])
    monkeypatch.setattr(clockkind, "_nanoseconds_per_turn", lambda *_: next(costs))
    on_machine(monkeypatch, "aarch64")

    assert counts_instructions(CLOCK) is counts


def test_on_other_machines_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    on_machine(monkeypatch, "riscv64")

    assert not counts_instructions(CLOCK)


def test_where_memory_may_not_be_executed_it_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(code: bytes, clock: int) -> float:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(clockkind, "_nanoseconds_per_turn", refuse)

    assert not counts_instructions(CLOCK)
