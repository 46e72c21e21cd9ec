"""What a player writes, judged as it comes: whole, cut, spoilt or ended."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.conformance.playing import EnoughSeen, Found, Playing, diverging
from harness.divergence import Recording
from harness.errors import (
    GuestError,
    GuestHung,
    GuestLost,
    GuestPanicked,
    HarnessError,
    RecordError,
    UnsupportedError,
)
from harness.model import Model
from harness.workload.gen import Theme, traces
from harness.workload.ops import PAGE, Fork, Map, SetName, Step, Unmap
from tests.traces import (
    KERNEL,
    ForgetfulModel,
    ModelTarget,
    json_line,
    recording_of,
    seen_of,
)

PAGES = 12
GOOD = (Step(0, Map(0, 8, 3)), Step(0, Unmap(2, 1)))
FORKS = (Step(0, Map(0, 8, 3)), Step(0, SetName(2, PAGE, "a")), Step(0, Fork(1)))


def play(
    target: ModelTarget, played: Sequence[Sequence[Step]], console: Path
) -> tuple[list[Found], list[tuple[int, int]], list[Recording]]:
    """The divergences, what was told of each trace, and the recordings."""
    found: list[Found] = []
    told: list[tuple[int, int]] = []
    kept: list[Recording] = []
    playing = Playing(
        PAGES, played, found.append, lambda *judged: told.append(judged), kept.append
    )
    playing.run(target, console)
    return found, told, kept


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_a_kernel_that_is_the_model_agrees_however_its_output_is_cut(
    piece: int, console: Path
) -> None:
    found, told, kept = play(ModelTarget(piece=piece), [GOOD, FORKS], console)

    assert found == []
    assert told == [(2, 0), (3, 0)]
    assert kept == [recording_of(steps, pages=PAGES) for steps in (GOOD, FORKS)]


def test_every_theme_agrees(console: Path) -> None:
    played = list(traces(5, 600, pages=PAGES, length=100, themes=tuple(Theme)))

    found, told, _ = play(ModelTarget(), played, console)

    assert found == []
    assert sum(judged for judged, _ in told) == 600
    assert sum(by_content for _, by_content in told) > 0


def test_each_trace_that_diverges_is_found_with_what_was_seen_up_to_there(
    console: Path,
) -> None:
    steps = (*FORKS, Step(0, Unmap(0, 8)))
    target = ModelTarget(model=ForgetfulModel)

    found, told, kept = play(target, [GOOD, steps, GOOD, FORKS], console)

    assert [(f.divergence.kind, f.divergence.index) for f in found] == [
        ("content", 2), ("content", 2),
    ]  # fmt: skip
    assert found[0].recording.steps == steps
    assert len(found[0].recording.seen) == 3
    assert found[0].recording.note == found[0].divergence.headline
    assert found[0].release == "6.12.0-test"
    assert [judged for judged, _ in told] == [2, 3, 2, 3]
    assert len(kept) == 4


def test_those_that_diverge_are_told_by_their_index(console: Path) -> None:
    target = ModelTarget(model=ForgetfulModel)

    found = diverging(target, PAGES, [GOOD, FORKS, GOOD, FORKS], console)

    assert sorted(found) == [1, 3]


def test_a_player_has_no_more_to_say_when_enough_was_seen(console: Path) -> None:
    def stop(found: Found) -> None:
        raise EnoughSeen

    playing = Playing(PAGES, [FORKS, GOOD], stop)

    with pytest.raises(EnoughSeen):
        playing.run(ModelTarget(model=ForgetfulModel), console)


def raising(error: BaseException, at: int) -> Callable[[int], bytes | None]:
    def before(index: int) -> bytes | None:
        if index == at:
            raise error
        return None

    return before


@pytest.mark.parametrize("kind", [GuestPanicked, GuestLost])
def test_a_guest_that_dies_is_a_divergence_of_the_trace_it_was_in(
    kind: type[GuestPanicked | GuestLost], console: Path
) -> None:
    half = json_line({"trace": 1, "from": 0, "seen": [recorded(FORKS)[0]]})
    dying = ModelTarget(before=lambda index: half if index == 1 else None)

    def run_executor(job: bytes, on_output: Callable[[bytes], None], at: Path) -> int:
        ModelTarget.run_executor(dying, job, on_output, at)
        raise kind("the kernel is gone", "its last words")

    target = ModelTarget()
    target.run_executor = run_executor  # type: ignore[method-assign,assignment]
    (found,), told, _ = play(target, [GOOD, FORKS, GOOD], console)

    assert (found.divergence.kind, found.divergence.index) == ("died", 1)
    assert found.divergence.words == "the kernel is gone"
    assert found.recording.steps == FORKS
    assert len(found.recording.seen) == 1
    assert told == [(2, 0)]


def recorded(steps: Sequence[Step]) -> list[list[Any]]:
    return seen_of(Model(), steps)


def test_a_guest_that_dies_before_its_first_trace_died_in_that(console: Path) -> None:
    target = ModelTarget(before=raising(GuestPanicked("panic", ""), 0))

    (found,), _, _ = play(target, [FORKS], console)

    assert (found.divergence.kind, found.divergence.index) == ("died", 0)


def test_a_guest_that_dies_before_it_says_anything_is_an_error(console: Path) -> None:
    class Dead(ModelTarget):
        def run_executor(
            self, job: bytes, on_output: Callable[[bytes], None], console: Path
        ) -> int:
            raise GuestPanicked("panic", "")

    with pytest.raises(GuestPanicked):
        play(Dead(), [FORKS], console)


@pytest.mark.parametrize("error", [GuestHung("h", ""), KeyboardInterrupt()])
def test_other_ends_of_a_guest_are_nobody_s_divergence(
    error: BaseException, console: Path
) -> None:
    target = ModelTarget(before=raising(error, 1))

    with pytest.raises(type(error)):
        play(target, [GOOD, FORKS], console)


def test_a_trace_whose_process_died_is_a_divergence_and_the_rest_goes_on(
    console: Path,
) -> None:
    class Dying(ModelTarget):
        def run_executor(
            self, job: bytes, on_output: Callable[[bytes], None], console: Path
        ) -> int:
            on_output(json_line({"kernel": KERNEL}))
            on_output(json_line({"trace": 0, "from": 0, "seen": recorded(GOOD)[:1]}))
            on_output(json_line({"trace": 0, "died": -9}))
            on_output(json_line({"trace": 1, "from": 0, "seen": recorded(FORKS)}))
            on_output(json_line({"done": 2}))
            return 0

    (found,), told, _ = play(Dying(), [GOOD, FORKS], console)

    assert (found.divergence.kind, found.divergence.index) == ("died", 1)
    assert found.divergence.words == "a process of the trace ended with status -9"
    assert told == [(1, 0), (3, 0)]


def test_a_trace_that_was_not_played_to_its_end_is_told(console: Path) -> None:
    class Short(ModelTarget):
        def run_executor(
            self, job: bytes, on_output: Callable[[bytes], None], console: Path
        ) -> int:
            on_output(json_line({"kernel": KERNEL}))
            on_output(json_line({"trace": 0, "from": 0, "seen": recorded(GOOD)[:1]}))
            on_output(json_line({"done": 1}))
            return 0

    (found,), _, _ = play(Short(), [GOOD], console)

    assert found.divergence.words == "the executor did not finish the trace"


def test_a_player_that_ends_early_is_an_error_with_its_last_words(
    console: Path,
) -> None:
    said = b"Traceback:\n  \x1b[31mOSError\nno more"
    target = ModelTarget(before=lambda index: said, status=3)

    with pytest.raises(GuestError, match="ended early, with status 3") as raised:
        play(target, [GOOD], console)

    assert "Traceback:" in raised.value.console
    assert "no more" in raised.value.console
    assert "\x1b" not in raised.value.console


def test_what_a_player_says_beside_its_output_is_shown_where_that_is_nothing(
    console: Path,
) -> None:
    """On the host it says there why it refuses a job."""
    console.write_text("player: run it as root\x1b[2J\n")
    target = ModelTarget(before=lambda index: b"", status=3)

    with pytest.raises(GuestError, match="ended early, with status 3") as raised:
        play(target, [GOOD], console)

    assert raised.value.console == r"player: run it as root\x1b[2J"


def test_a_line_that_the_player_did_not_end_is_shown_as_far_as_it_helps(
    console: Path,
) -> None:
    """Its own ends of lines are many, as JSON may have them between its words."""
    target = ModelTarget(before=lambda index: b'{"a":\r' * 10_000, status=1)

    with pytest.raises(GuestError, match="ended early") as raised:
        play(target, [GOOD], console)

    assert len(str(raised.value)) < 32_000


def test_output_that_stops_inside_a_line_is_an_early_end(console: Path) -> None:
    target = ModelTarget(before=lambda index: b'{"trace": 0, "from": 0, "se', status=1)

    with pytest.raises(GuestError, match='"se'):
        play(target, [GOOD], console)


def test_a_kernel_without_names_is_not_supported(console: Path) -> None:
    kernel = KERNEL | {"support": "absent", "reason": "CONFIG\x1b_ANON_VMA_NAME"}

    with pytest.raises(UnsupportedError, match="names cannot be compared") as raised:
        play(ModelTarget(kernel=kernel), [GOOD], console)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"trace": 0}',
        b'{"seen": []}',
        b'{"trace": 2, "seen": []}',
        b'{"trace": -1, "seen": []}',
        b'{"trace": true, "seen": []}',
        b'{"trace": "0", "seen": []}',
        b'{"trace": 0, "seen": null}',
        b'{"trace": 0, "seen": 3}',
        b'{"trace": 0, "seen": [3]}',
        b'{"trace": 0, "seen": [[0, [[0, 5, 0, []]]]]}',
        b'{"trace": 0, "seen": [[0, [[0, 0, 0, ["junk"]]]]]}',
        b'{"trace": 0, "seen": [[0, null], [0, null], [0, null]]}',
        b'{"died": 1}',
        b'{"kernel": 3}',
        b"3",
        b"null",
        b"junk",
        b"\xff",
        b"[" * 100_000,
    ],
    ids=lambda line: repr(line[:50]),
)
@pytest.mark.parametrize("first", [True, False])
def test_what_no_player_writes_is_one_of_our_errors(
    line: bytes, first: bool, console: Path
) -> None:
    class Garbage(ModelTarget):
        def run_executor(
            self, job: bytes, on_output: Callable[[bytes], None], console: Path
        ) -> int:
            if not first:
                on_output(json_line({"kernel": KERNEL}))
            on_output(line + b"\n")
            return 1

    with pytest.raises(HarnessError) as raised:
        play(Garbage(), [GOOD, FORKS], console)

    assert isinstance(raised.value, RecordError | GuestError | UnsupportedError)


def test_a_target_is_given_the_traces_and_the_console(console: Path) -> None:
    target = ModelTarget()

    play(target, [GOOD], console)

    (job,) = target.jobs
    assert re.search(rb'"pages":12,"traces":\[\[\["mmap",0,0,8,3\]', job)


def test_a_line_without_an_end_is_refused_before_it_fills_memory(
    console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.conformance.playing._LONGEST_LINE", 1000)
    target = ModelTarget(before=lambda index: b"x" * 5000, piece=500)

    with pytest.raises(
        RecordError, match="a line of the executor has at most 1000 bytes"
    ):
        play(target, [GOOD], console)


def test_of_what_is_no_json_only_the_beginning_is_kept(console: Path) -> None:
    said = b"Traceback:\n" + b"no end " * 100_000
    target = ModelTarget(before=lambda index: said, piece=1000, status=3)

    with pytest.raises(GuestError) as raised:
        play(target, [GOOD], console)

    assert raised.value.console.startswith("Traceback:")
    assert len(raised.value.console) <= 4000
