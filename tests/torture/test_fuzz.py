"""Every reader, given mutations of what it reads; and whether this would be seen."""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from tests.torture import fuzz as fuzzing
from tests.torture.fuzz import fuzz
from tests.torture.fuzz_mutations import mutated
from tests.torture.fuzz_registry import TARGETS
from tests.torture.fuzz_targets import Broken, Feed, Target, try_input

EXAMPLES = 25


@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_takes_its_seeds_and_refuses_what_they_are_made_into(
    name: str, tmp_path: Path
) -> None:
    target = TARGETS[name]
    seeds, feed = target.seeds(), target.make(tmp_path)
    inputs = st.builds(
        mutated, st.sampled_from(seeds), st.randoms(use_true_random=False)
    )

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.one_of(inputs, st.sampled_from(seeds), st.binary(max_size=200)))
    def tried(data: bytes) -> None:
        try_input(target, feed, data)

    tried()


@given(st.binary(max_size=300), st.integers(0, 2**32))
def test_a_mutation_is_its_seed_and_its_number(data: bytes, number: int) -> None:
    made = mutated(data, random.Random(number))

    assert made == mutated(data, random.Random(number))


def broken_target(feed: Feed, *, longest_s: float = 10) -> Target:
    return Target(
        name="broken", make=lambda _: feed, refuses=(UsageError,),
        seeds=lambda: (b"",), longest_s=longest_s,
    )  # fmt: skip


def _raise(error: BaseException) -> Callable[[bytes], None]:
    def feed(data: bytes) -> None:
        raise error

    return feed


@pytest.mark.parametrize(
    ("feed", "why"),
    [
        (_raise(KeyError("x")), "KeyError"),
        (_raise(MemoryError()), "out of memory"),
        (_raise(RecursionError()), "RecursionError"),
        (lambda data: time.sleep(60), "over 0.05 s"),
        (_raise(UsageError(("x" * 4000 + "\n") * 20)), "an error of"),
    ],
)
def test_what_no_input_may_do_is_seen(feed: Feed, why: str) -> None:
    with pytest.raises(Broken, match=why):
        try_input(broken_target(feed, longest_s=0.05), feed, b"")


def test_an_error_that_steers_a_terminal_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.torture.fuzz_targets.message_of", str)
    feed = _raise(UsageError("a\x1b[2J"))

    with pytest.raises(Broken, match="an error shows"):
        try_input(broken_target(feed), feed, b"")


def test_a_refusal_is_no_failure() -> None:
    feed = _raise(UsageError("\x1b[2J\nanother line"))

    try_input(broken_target(feed), feed, b"")


@pytest.mark.long
def test_coverage_reaches_targets_and_tells_how_many_inputs(tmp_path: Path) -> None:
    said: list[str] = []

    report = fuzz(6, 1, said.append, only=["maps-line"], results=tmp_path)

    assert report.failures == ()
    assert report.inputs == report.tried[0][1] > 100
    assert said == [f"fuzz: maps-line: {report.inputs} inputs"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("(folder / 'failure-1.input').write_bytes(b'x')\n"
         "(folder / 'failure-1.txt').write_text('KeyError')", "KeyError"),
        ("import os; Current(folder / 'current').begin(b'x'); os.abort()",
         "its process ended with 134"),
        ("import time; Current(folder / 'current').begin(b'x'); time.sleep(60)",
         "it hung"),
    ],
)  # fmt: skip
def test_a_worker_that_dies_or_hangs_leaves_its_input(
    body: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.torture.fuzz_current import Current\n"
        f"folder = Path(sys.argv[-1])\n{body}\n"
    )
    run = fuzzing._run
    monkeypatch.setattr(fuzzing, "_GRACE_S", 2.0)
    monkeypatch.setattr(
        fuzzing, "_run",
        lambda argv, out, deadline: run(
            [sys.executable, "-c", program, *argv[3:]], out, deadline
        ),
    )  # fmt: skip

    (failure,) = fuzz(0, 7, lambda _: None, only=["notes"], results=tmp_path).failures

    assert told in failure.traceback
    assert failure.saved == tmp_path / "fuzz-7-notes-1.input"
    assert failure.saved.read_bytes() == b"x"
