import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.host import clock_lock
from harness.host.clock_lock import silicon_clock_held
from tests.bench.figures import Figure, Kind, Pair, Verdict
from tests.bench.running import Interrupted, chosen_names, take, turns
from tests.bench.taking import Setting, Subject, Taken, by_turns


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clock of the tests' own: another may take time on the machine's."""
    monkeypatch.setattr(clock_lock, "lock_file", lambda: tmp_path / "lock")
    return tmp_path / "lock"


ONE = Figure(name="one", what="w", against="a", kind=Kind.AT_MOST, reach=3)
TWO = Figure(name="two", what="w", against="a", kind=Kind.AT_MOST, reach=3)


def setting(tmp_path: Path, *chosen: str) -> Setting:
    return Setting(
        quick=False, scratch=tmp_path, chosen=frozenset(chosen),
        on_step=lambda step: None,
    )  # fmt: skip


def pair(repetition: int, ours: float) -> Pair:
    return Pair(repetition=repetition, ours=ours, other=1, unit="ns", clock="c")


def subject(error: BaseException | None) -> Subject:
    def measure(setting: Setting) -> Iterator[Taken]:
        yield "one", pair(0, 2)
        yield "two", pair(0, 4)
        if error is not None:
            raise error

    return Subject(figures=(ONE, TWO), measure=measure)


def test_what_is_taken_is_recorded_and_judged(tmp_path: Path) -> None:
    lines: list[bytes] = []

    results = take(subject(None), setting(tmp_path, "one", "two"), lines.append)

    assert [r.verdict for r in results] == [Verdict.OK, Verdict.MISSED]
    assert [json.loads(line)["figure"] for line in lines] == ["one", "two"]


def test_a_row_that_was_not_asked_for_is_not_there(tmp_path: Path) -> None:
    lines: list[bytes] = []

    (result,) = take(subject(None), setting(tmp_path, "two"), lines.append)

    assert result.figure is TWO
    assert len(lines) == 1


def test_whatever_a_row_dies_of_is_its_reason(tmp_path: Path) -> None:
    lines: list[bytes] = []

    results = take(
        subject(ValueError("odd")), setting(tmp_path, "one", "two"), lines.append
    )

    assert [r.verdict for r in results] == [Verdict.FAILED] * 2
    assert results[0].reason == "ValueError: odd"
    # What it came to by then is shown, and was recorded.
    assert results[0].repetitions == 1
    assert [json.loads(line)["kind"] for line in lines] == [
        "repetition", "repetition", "failure", "failure",
    ]  # fmt: skip


def test_a_row_that_takes_time_is_the_only_one_on_the_machine(
    tmp_path: Path, lock: Path
) -> None:
    held = []

    def measure(setting: Setting) -> Iterator[Taken]:
        held.append(lock.exists())
        yield "one", pair(0, 2)

    timed = Subject(figures=(ONE,), measure=measure)
    take(timed, setting(tmp_path, "one"), lambda line: None)
    with silicon_clock_held("a campaign"):
        (refused,) = take(timed, setting(tmp_path, "one"), lambda line: None)

    assert held == [True]
    assert not lock.exists()
    assert refused.verdict is Verdict.FAILED
    assert "for a campaign, since" in refused.reason


def test_a_row_that_counts_does_not_care_who_takes_time(tmp_path: Path) -> None:
    counted = replace(subject(None), takes_time=False)

    with silicon_clock_held("a campaign"):
        results = take(counted, setting(tmp_path, "one"), lambda line: None)

    assert [r.verdict for r in results] == [Verdict.OK]


def test_an_interrupt_keeps_what_was_taken(tmp_path: Path) -> None:
    with pytest.raises(Interrupted) as stop:
        take(subject(KeyboardInterrupt()), setting(tmp_path, "one"), lambda line: None)

    (result,) = stop.value.results
    assert result.reason == "interrupted"


def test_rows_are_chosen_by_name_or_group() -> None:
    known = ["parse-read", "parse-frame", "name", "names"]

    assert chosen_names(None, known) == set(known)
    assert chosen_names("parse,name", known) == {"parse-read", "parse-frame", "name"}
    with pytest.raises(UsageError, match="pars"):
        chosen_names("pars", known)


def test_figures_that_are_apart_do_not_share_a_fate() -> None:
    together = subject(None)
    apart = Subject(figures=(ONE, TWO), measure=together.measure, apart=True)

    assert list(turns([together, apart], frozenset({"one", "two"}))) == [
        (together, [ONE, TWO]), (apart, [ONE]), (apart, [TWO]),
    ]  # fmt: skip
    assert list(turns([together], frozenset({"two"}))) == [(together, [TWO])]
    assert list(turns([together], frozenset({"three"}))) == []


def test_sides_take_turns_at_being_first() -> None:
    order = []

    def side(name: str, value: float) -> float:
        order.append(name)
        return value

    pairs = list(
        by_turns(
            lambda: side("a", 1), lambda: side("b", 2), repetitions=3, warmup=False
        )
    )

    assert order == ["a", "b", "b", "a", "a", "b"]
    assert {(p.ours, p.other) for p in pairs} == {(1, 2)}
