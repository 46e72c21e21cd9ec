"""Traces played on a kernel that is the model itself, with a rule spoilt or not."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.conformance.agree import AgreePlan, agree, shrunk
from harness.conformance.playing import Found, Playing, diverging
from harness.conformance.replaying import check_recording, read_recordings
from harness.divergence import Recording, render_recording, render_reproducer
from harness.divergence.drawing import draw
from harness.errors import (
    GuestError,
    GuestHung,
    GuestLost,
    GuestPanicked,
    RecordError,
    Stopped,
    UnsupportedError,
    UsageError,
)
from harness.maps import MapsEntry, render_line
from harness.model import Model, Shown
from harness.worker.executor import parse_executor_job
from harness.workload.gen import Theme
from harness.workload.ops import PAGE, Fork, Map, SetName, Step

START = 0x2000_0000
KERNEL = {
    "support": "supported", "reason": "", "release": "6.12.0-fake",
    "behaviour": {"anon_shmem": True}, "start": START, "file": "/tmp/f",
}  # fmt: skip

Spoil = Callable[[Step, list[Shown]], list[Shown]]


class FakeGuest:
    """A player's real output, of a kernel that is the model; ``spoil`` is its bug."""

    def __init__(self, spoil: Spoil = lambda step, shown: shown) -> None:
        self.spoil = spoil
        self.boots = 0
        self.ending: Callable[[list[bytes]], list[bytes]] = lambda lines: lines
        self.error: Exception | None = None

    def run_executor(
        self, job: bytes, on_output: Callable[[bytes], None], console: Path
    ) -> int:
        self.boots += 1
        lines = list(self._lines(job))
        text = b"".join(self.ending(lines))
        for at in range(0, len(text), 1000):
            on_output(text[at : at + 1000])
        if self.error is not None:
            raise self.error
        return 0

    def _lines(self, job: bytes) -> Iterator[bytes]:
        parsed = parse_executor_job(job)
        yield _json({"kernel": KERNEL})
        for index, steps in enumerate(parsed.traces):
            model = Model()
            seen = [self._seen(model, step) for step in steps]
            yield _json({"trace": index, "from": 0, "seen": seen})
        yield _json({"done": len(parsed.traces), "seconds": 1})

    def _seen(self, model: Model, step: Step) -> list[Any]:
        code = model.apply(step)
        changes = []
        concerned = {step.who}
        if isinstance(step.op, Fork):
            concerned.add(step.op.child)
        for who in sorted(concerned & model.mms.keys()):
            shown = list(model.shown(who))
            if who != step.who or not isinstance(step.op, Fork):
                shown = self.spoil(step, shown)
            changes.append([who, 0, 0, [_line(each) for each in shown]])
        return [code, changes]


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"


def _line(shown: Shown) -> str:
    path = shown.path.replace("/file", KERNEL["file"])  # type: ignore[arg-type]
    entry = MapsEntry(
        start=START + shown.start * PAGE, end=START + shown.end * PAGE,
        perms=shown.perms, offset=shown.offset * PAGE, pathname=path.encode(),
    )  # fmt: skip
    return render_line(entry).decode()


def forgets_at_fork(step: Step, shown: list[Shown]) -> list[Shown]:
    if not isinstance(step.op, Fork):
        return shown
    return [each._replace(path="") for each in shown]


PLAN = AgreePlan(operations=2400, seed=3, length=100, guests=2)
EXACT = replace(PLAN, themes=(Theme.NAMES, Theme.FAMILY, Theme.LIMIT))


def test_a_kernel_that_is_the_model_agrees() -> None:
    guest = FakeGuest()

    agreement = agree(EXACT, lambda stop: guest, on_step=lambda step: None)

    assert agreement.found is None
    assert (agreement.operations, agreement.traces) == (2400, 24)


class FrailGuest(FakeGuest):
    """One that panics in the middle of a trace, in some of its boots."""

    def __init__(self, boots: range) -> None:
        super().__init__()
        self.frail = boots

    def run_executor(
        self, job: bytes, on_output: Callable[[bytes], None], console: Path
    ) -> int:
        if self.boots not in self.frail:
            return super().run_executor(job, on_output, console)
        self.boots += 1
        lines = list(self._lines(job))
        half = json.loads(lines[3])
        half["seen"] = half["seen"][:7]
        on_output(b"".join(lines[:3]) + _json(half))
        raise GuestPanicked("Kernel panic - not syncing", "")


def test_a_guest_that_died_once_is_no_divergence() -> None:
    guest = FrailGuest(range(1))

    plan = replace(EXACT, guests=1)
    agreement = agree(plan, lambda stop: guest, on_step=lambda step: None)

    assert agreement.found is None
    assert (agreement.operations, agreement.traces) == (2400, 24)
    assert agreement.deaths == 1


def test_a_guest_that_dies_again_of_the_same_trace_is_one() -> None:
    guest = FrailGuest(range(1))
    guest.ending = lambda lines: [*lines[:1], _json({"trace": 0, "died": -11})]

    plan = replace(EXACT, guests=1)
    agreement = agree(plan, lambda stop: guest, on_step=lambda step: None)

    assert agreement.found is not None
    assert agreement.found.divergence.kind == "died"
    assert (guest.boots, agreement.deaths) == (2, 1)


def test_a_divergence_stands_though_another_guest_hangs_meanwhile() -> None:
    diverged = threading.Event()

    class Hangs(FakeGuest):
        def run_executor(
            self, job: bytes, on_output: Callable[[bytes], None], console: Path
        ) -> int:
            assert diverged.wait(20)
            raise GuestHung("silent for 60 s", "")

    class Diverges(FakeGuest):
        def run_executor(
            self, job: bytes, on_output: Callable[[bytes], None], console: Path
        ) -> int:
            try:
                return super().run_executor(job, on_output, console)
            finally:
                diverged.set()

    guests = iter([Hangs(), Diverges(forgets_at_fork)])

    agreement = agree(EXACT, lambda stop: next(guests), on_step=lambda step: None)

    assert agreement.found is not None


def find(guest: FakeGuest) -> Found:
    agreement = agree(EXACT, lambda stop: guest, on_step=lambda step: None)
    assert agreement.found is not None
    return agreement.found


def test_a_bug_is_found_shrunk_drawn_and_made_a_program() -> None:
    guest = FakeGuest(forgets_at_fork)
    found = find(guest)
    assert found.divergence.step.word == "fork"

    *_, short = shrunk(found, lambda stop: guest, on_step=lambda step: None)

    steps = short.recording.steps
    assert len(steps) <= 5
    drawn = draw(short.divergence, 32)
    assert [line.split(" ")[0] for line in drawn.split("\n")][3:6] == [
        "before", "expected", "seen",
    ]  # fmt: skip
    program = render_reproducer(
        short.divergence, steps, kernel=short.kernel, pages=32, release=short.release
    )
    compile(program, "reproduce.py", "exec")


def test_what_is_kept_diverges_again_when_replayed(tmp_path: Path) -> None:
    found = find(FakeGuest(forgets_at_fork))
    path = tmp_path / "trace.jsonl"
    path.write_bytes(render_recording(found.recording))

    (recording,) = read_recordings(path)
    again = check_recording(recording)

    assert again is not None
    assert again.divergence.headline == found.divergence.headline
    # As an editor may leave it.
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert read_recordings(path) == [recording]
    path.write_bytes(path.read_bytes() + b"\n{}\n")
    with pytest.raises(UsageError, match="line 2: not a record: not a trace"):
        read_recordings(path)


TRACE = (Step(0, Map(0, 8, 3)), Step(0, SetName(2, PAGE, "a")), Step(0, Fork(1)))


def play(guest: FakeGuest, tmp_path: Path) -> dict[int, Found]:
    return diverging(guest, 8, [TRACE, TRACE], tmp_path / "console")


@pytest.mark.parametrize("error", [GuestPanicked, GuestLost])
def test_a_guest_that_dies_is_a_divergence_of_the_trace_it_was_in(
    tmp_path: Path, error: type[GuestError]
) -> None:
    guest = FakeGuest()
    guest.ending = lambda lines: lines[:2]
    guest.error = error("it is gone", "")

    found = play(guest, tmp_path)

    assert {i: f.divergence.kind for i, f in found.items()} == {0: "died"}
    assert "it is gone" in found[0].divergence.headline


def test_a_process_that_dies_is_told_with_its_trace(tmp_path: Path) -> None:
    guest = FakeGuest()
    guest.ending = lambda lines: [
        *lines[:2],
        _json({"trace": 1, "died": -11}),
        lines[3],
    ]

    found = play(guest, tmp_path)

    assert found.keys() == {1}
    assert "status -11" in found[1].divergence.headline


@pytest.mark.parametrize(
    ("spoilt", "error", "words"),
    [
        ([b"Traceback: boom\n"], GuestError, "Traceback: boom"),
        ([b'{"kernel'], GuestError, "ended early"),
        (
            [b'{"trace": 9, "seen": []}\n'],
            RecordError,
            "the job has no trace with this number",
        ),
        ([b'{"trace": 0, "seen": [[0, 7]]}\n'], RecordError, "not a record"),
        ([b'{"what": 1}\n'], RecordError, "not a line that the executor writes"),
    ],
)
def test_what_no_player_writes_is_one_error(
    tmp_path: Path, spoilt: list[bytes], error: type[Exception], words: str
) -> None:
    guest = FakeGuest()
    guest.ending = lambda lines: [lines[0], *spoilt]

    with pytest.raises(error, match=words):
        play(guest, tmp_path)


def test_a_kernel_without_names_has_nothing_to_be_compared(tmp_path: Path) -> None:
    guest = FakeGuest()
    lacking = {**KERNEL, "support": "not built in", "reason": "EINVAL\x1b[2J"}
    guest.ending = lambda lines: [_json({"kernel": lacking})]

    with pytest.raises(UnsupportedError, match=r"EINVAL\\x1b"):
        play(guest, tmp_path)


def test_a_kernel_that_does_otherwise_than_its_base_is_told_before_all() -> None:
    plan = replace(EXACT, expected={"heap_strict": False})

    agreement = agree(plan, lambda stop: FakeGuest(), on_step=lambda step: None)

    assert agreement.found is not None
    assert agreement.found.divergence.word == "probe"


def test_ctrl_c_stops_the_guests_before_they_are_waited_for() -> None:
    stops: list[threading.Event] = []
    stopped: list[bool] = []

    class Endless(FakeGuest):
        def run_executor(
            self, job: bytes, on_output: Callable[[bytes], None], console: Path
        ) -> int:
            os.kill(os.getpid(), signal.SIGINT)
            stopped.append(stops[0].wait(20))
            raise Stopped("told to")

    def target(stop: threading.Event) -> FakeGuest:
        stops.append(stop)
        return Endless()

    # Whoever runs the tests in the background has it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            agree(replace(EXACT, guests=1), target, on_step=lambda step: None)
    finally:
        signal.signal(signal.SIGINT, before)

    assert stopped == [True]


def test_an_interrupt_while_a_thread_starts_waits_for_its_guest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pool does not know such a thread, and would not wait for it."""
    stops: list[threading.Event] = []
    ended: list[bool] = []
    begun = threading.Event()

    class Endless(FakeGuest):
        def run_executor(
            self, job: bytes, on_output: Callable[[bytes], None], console: Path
        ) -> int:
            begun.set()
            ended.append(stops[0].wait(20))
            raise Stopped("told to")

    def target(stop: threading.Event) -> FakeGuest:
        stops.append(stop)
        return Endless()

    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        begun.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        agree(replace(EXACT, guests=1), target, on_step=lambda step: None)

    assert ended == [True]


@pytest.mark.parametrize("pages", [0, 7, 10**9])
def test_an_arena_that_cannot_be_is_refused_before_anything_is_booted(
    pages: int,
) -> None:
    with pytest.raises(UsageError, match="8 to 131072 pages"):
        replace(PLAN, pages=pages)


def test_recordings_are_of_every_trace_that_was_played() -> None:
    kept: list[Recording] = []
    lock = threading.Lock()

    def keep(recording: Recording) -> None:
        with lock:
            kept.append(recording)

    agree(EXACT, lambda stop: FakeGuest(), on_step=lambda step: None, keep=keep)

    assert sum(len(recording.seen) for recording in kept) == 2400
    assert all(check_recording(recording) is None for recording in kept)


def test_steps_that_were_not_looked_at_are_judged_by_their_answer(
    tmp_path: Path,
) -> None:
    guest = FakeGuest()
    found: list[Found] = []
    seen = [[0, None], [0, None], [0, [[0, 0, 0, []]]]]
    guest.ending = lambda lines: [
        lines[0], _json({"trace": 0, "from": 0, "seen": seen}), lines[-1],
    ]  # fmt: skip
    playing = Playing(8, [TRACE], found.append, at_end=True)

    playing.run(guest, tmp_path / "console")

    assert [f.divergence.kind for f in found] == ["content"]
