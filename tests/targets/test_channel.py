import itertools
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import (
    BadRecord,
    EnvironmentFault,
    GuestHung,
    GuestLost,
    GuestPanicked,
    Stopped,
)
from harness.targets import channel
from harness.targets.channel import (
    OUTPUT,
    RECORDS,
    Deadlines,
    Listener,
    RecordLines,
    ended_without_status,
    port,
)
from harness.worker.measure import Record, RunEnd, Status, render_record

NOWHERE = Path("/nonexistent/console")

records = st.lists(
    st.builds(RunEnd, run=st.text(max_size=9), valid=st.booleans(), reason=st.text())
)


@given(records, st.integers(-64, 255), st.data())
def test_records_are_the_same_however_the_stream_is_cut(
    sent: list[RunEnd], code: int, data: st.DataObject
) -> None:
    everything: list[Record] = [*sent, Status(code=code)]
    stream = b"".join(map(render_record, everything))
    places = data.draw(st.lists(st.integers(0, len(stream))))
    taken: list[Record] = []
    lines = RecordLines(taken.append, NOWHERE)

    for start, end in itertools.pairwise([0, *sorted(places), len(stream)]):
        lines.feed(stream[start:end])

    assert taken == sent
    assert lines.status == Status(code=code)


def test_a_line_that_has_not_ended_is_no_record_yet() -> None:
    lines = RecordLines(lambda record: None, NOWHERE)
    line = render_record(Status(code=3))

    lines.feed(line[:-1])
    assert lines.status is None

    lines.feed(line[-1:])
    assert lines.status == Status(code=3)


@pytest.mark.parametrize("line", [b"oops \x1b[2J", b"{}", b"", b"\xff", b"[]"])
def test_a_line_that_is_no_record_is_shown_with_the_console_s_end(
    tmp_path: Path, line: bytes
) -> None:
    (tmp_path / "console").write_text("booting\n\x1b[31mlast words\n")
    lines = RecordLines(lambda record: None, tmp_path / "console")

    with pytest.raises(BadRecord, match="the guest sent a bad record") as raised:
        lines.feed(line + b"\n")

    assert repr(line) in raised.value.what
    assert raised.value.console == "booting\n\\x1b[31mlast words"


def test_records_before_a_bad_line_are_taken() -> None:
    taken: list[Record] = []
    end = RunEnd(run="r", valid=True, reason="", seal="")

    with pytest.raises(BadRecord):
        RecordLines(taken.append, NOWHERE).feed(render_record(end) + b"oops\n")

    assert taken == [end]


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    lines = RecordLines(lambda record: None, NOWHERE)
    lines.feed(b"x" * (1 << 20))

    with pytest.raises(BadRecord) as raised:
        lines.feed(b"x")

    assert len(str(raised.value)) < 1000


class Guest:
    """A guest's ends of its ports."""

    def __init__(self) -> None:
        self.heard: list[Record | bytes] = []
        self.stop = threading.Event()
        self._stack = ExitStack()
        pairs = {n: self._stack.enter_context(port()) for n in (RECORDS, OUTPUT)}
        self._ours = {name: ours for name, (ours, _) in pairs.items()}
        self.ports = {name: theirs for name, (_, theirs) in pairs.items()}

    def say(self, name: str, words: bytes) -> None:
        self.ports[name].sendall(words)

    def end(self) -> None:
        for theirs in self.ports.values():
            theirs.close()

    def close(self) -> None:
        self._stack.close()

    def listen(
        self,
        deadlines: Deadlines | None = None,
        *,
        console: Path = NOWHERE,
        on_output: Callable[[bytes], None] | None = None,
    ) -> Status | None:
        return Listener(
            on_record=self.heard.append,
            on_output=on_output or self.heard.append,
            deadlines=deadlines or Deadlines(),
            console=console,
            stop=self.stop,
        ).listen(self._ours)


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Guest]:
    """Listened to by a clock that goes on by a second whenever it is read."""
    clock = map(float, itertools.count())
    monkeypatch.setattr(channel, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(channel, "_POLL_S", 0)
    guest = Guest()
    yield guest
    guest.close()


def test_all_that_a_guest_said_is_taken_and_its_status_is_returned(
    guest: Guest,
) -> None:
    end = RunEnd(run="r", valid=False, reason="why", seal="")
    guest.say(RECORDS, render_record(end) + render_record(Status(code=-9)))
    guest.say(OUTPUT, b"words\xff")
    guest.end()

    assert guest.listen() == Status(code=-9)
    assert set(guest.heard) == {end, b"words\xff"}


def test_a_guest_that_goes_away_without_a_status_has_none(guest: Guest) -> None:
    guest.say(RECORDS, render_record(Status(code=0))[:-1])
    guest.end()

    assert guest.listen() is None


def test_a_guest_that_closes_one_port_is_still_listened_to(guest: Guest) -> None:
    guest.ports[OUTPUT].close()
    guest.say(RECORDS, render_record(Status(code=0)))

    with pytest.raises(GuestHung):
        guest.listen(Deadlines(silence_s=5))


def test_a_guest_that_never_speaks_is_hung_after_the_time_for_a_boot(
    guest: Guest, tmp_path: Path
) -> None:
    (tmp_path / "console").write_text("starting\n")

    with pytest.raises(GuestHung) as raised:
        guest.listen(Deadlines(boot_s=7.5, silence_s=100), console=tmp_path / "console")

    assert raised.value.what == (
        "the guest wrote nothing within 7.5 s of its start and was killed"
    )
    assert raised.value.console == "starting"


def test_a_guest_that_boots_is_not_silent_yet(guest: Guest) -> None:
    with pytest.raises(GuestHung, match=r"wrote nothing within 20 s of its start"):
        guest.listen(Deadlines(boot_s=20, silence_s=5))


@pytest.mark.parametrize("name", [RECORDS, OUTPUT])
def test_a_guest_that_falls_silent_is_hung(guest: Guest, name: str) -> None:
    guest.say(name, render_record(Status(code=0)))

    with pytest.raises(GuestHung, match=r"the guest wrote nothing for 5 s and was kil"):
        guest.listen(Deadlines(boot_s=1000, silence_s=5))


def test_a_guest_that_speaks_on_and_on_is_hung_in_the_end(guest: Guest) -> None:
    guest.say(OUTPUT, b".")

    with pytest.raises(GuestHung, match=r"did not finish within 30 s and was killed"):
        guest.listen(
            Deadlines(boot_s=10, silence_s=10, total_s=30),
            on_output=lambda chunk: guest.say(OUTPUT, b"."),
        )


def test_a_guest_that_fills_its_console_is_ended(
    guest: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "_LARGEST_CONSOLE", 3 << 20)
    console = tmp_path / "console"
    console.write_bytes(b"word\n" * (3 << 20))

    with pytest.raises(GuestLost, match="more than 3 MiB to its console") as raised:
        guest.listen(console=console)

    assert raised.value.console.endswith("word\nword")


def test_a_wish_to_stop_is_heard_while_the_guest_runs(guest: Guest) -> None:
    guest.say(OUTPUT, b".")

    with pytest.raises(Stopped):
        guest.listen(on_output=lambda chunk: guest.stop.set())


def test_a_bad_record_ends_the_listening(guest: Guest) -> None:
    guest.say(RECORDS, b"oops\n")

    with pytest.raises(BadRecord, match="oops"):
        guest.listen()


def test_the_ends_of_a_port_are_closed_with_it() -> None:
    with port() as (ours, theirs):
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"

    assert (ours.fileno(), theirs.fileno()) == (-1, -1)
    assert isinstance(ours, socket.socket)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "words",
    [
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000500",
        "Internal error: Oops: 0000000096000044 [#1] SMP",
    ],
)
def test_a_panic_is_told_with_the_kernel_s_words(tmp_path: Path, words: str) -> None:
    console = write(tmp_path / "c", f"before\n[    1.23] {words}\r\n" + "trace\n" * 30)

    error = ended_without_status(console, runner_output="qemu: warning")

    assert isinstance(error, GuestPanicked)
    assert error.what.startswith(f"the guest panicked: {words}")
    assert error.console.startswith("before\n")


def test_without_a_word_from_the_guest_what_ran_it_tells_why(tmp_path: Path) -> None:
    error = ended_without_status(tmp_path / "c", runner_output="qemu: no such machine")

    assert isinstance(error, EnvironmentFault)
    assert str(error) == "the guest did not start: qemu: no such machine"


@pytest.mark.parametrize(
    ("said", "shown"), [("", ""), ("killed", " (its runner wrote: killed)")]
)
def test_a_guest_that_was_up_and_is_gone_is_lost(
    tmp_path: Path, said: str, shown: str
) -> None:
    console = write(tmp_path / "c", "up\n")

    error = ended_without_status(console, runner_output=said)

    assert isinstance(error, GuestLost)
    assert error.what == f"the guest ended without a status{shown}"
    assert error.console == "up"


def test_a_guest_that_is_gone_without_anybody_s_word_is_lost(tmp_path: Path) -> None:
    error = ended_without_status(tmp_path / "c")

    assert isinstance(error, GuestLost)
    assert re.search(r"console:\n  \(empty\)$", str(error))
