"""Whether faults would see a promise broken: by commands that are only played."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.torture import faults
from tests.torture.campaigns import Broken, Place, Small, running

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PID = 4_194_304 + 1  # Nobody's: PID_MAX_LIMIT is the most there may be.


@dataclass
class Command:
    """A command: what it says and ends with, and what it records until then."""

    status: int = 0
    words: str = ""
    until_its_end: bytes = b""
    pid: int = PID
    over: bool = False
    told: list[tuple[str, int]] = field(default_factory=list)

    def poll(self) -> int | None:
        return self.status if self.over else None

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self, place: Place) -> tuple[int, str]:
        with open(place.records, "ab") as file:
            file.write(self.until_its_end)
        self.over = True
        return self.status, self.words


Play = Callable[..., Place]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Have campaigns be commands, by name; each has recorded a line."""

    def play(**commands: Command) -> Place:
        @contextlib.contextmanager
        def running(
            small: Small, place: Place, *more: str
        ) -> Iterator[tuple[Command, Place]]:
            place.records.parent.mkdir(parents=True)
            place.records.write_bytes(b"a line\n")
            yield commands[place.name], place

        def run_to_end(small: Small, place: Place, *more: str) -> tuple[int, str]:
            with running(small, place) as (command, _):
                answer = command.end(place)
            # Who began earlier and takes as long is over, too.
            for each in commands.values():
                each.over = True
            return answer

        for tell in ("kill", "killpg"):
            monkeypatch.setattr(
                os, tell,
                lambda pid, number, tell=tell: commands["c"].told.append((tell, number))
            )  # fmt: skip
        monkeypatch.setattr(faults, "running", running)
        monkeypatch.setattr(faults, "run_to_end", run_to_end)
        monkeypatch.setattr(faults, "end_of", lambda command, p: command.end(p))
        for done in (
            "_await_records", "descendants", "check_gone", "check_complete", "_goes_on",
        ):  # fmt: skip
            monkeypatch.setattr(faults, done, lambda *_: None)
        return Place(results=tmp_path, name="c")

    return play


REFUSED = f"anonvma: another takes time: process {PID}\n"


@pytest.mark.parametrize(
    ("second", "held"),
    [
        (Command(status=3, words=REFUSED), True),
        (Command(status=3, words="anonvma: no memory\n"), False),
        (Command(status=0), False),
    ],
    ids=["refused", "something else", "ran beside it"],
)
def test_a_second_one_that_takes_time_beside_the_first_is_seen(
    play: Play, second: Command, held: bool
) -> None:
    place = play(c=Command(until_its_end=b"another\n"), d=second)

    with contextlib.nullcontext() if held else pytest.raises(Broken):
        faults.two_on_the_silicon_clock(place, random.Random(1))


def test_a_second_one_may_take_time_after_the_first(play: Play) -> None:
    place = play(c=Command(), d=Command(until_its_end=b"another\n"))

    faults.two_on_the_silicon_clock(place, random.Random(1))


STOPPED = "anonvma: stopped\n"


@pytest.mark.parametrize(
    ("command", "held"),
    [
        (Command(status=130, words=STOPPED, until_its_end=b"on its way\n"), True),
        (Command(status=0, until_its_end=b"all the rest\n"), False),
        (Command(status=0), True),
        (Command(status=3, words="anonvma: lost\n"), False),
    ],
    ids=["stopped", "went on to its end", "was done", "something else"],
)
def test_a_command_that_does_not_stop_is_seen(
    play: Play, command: Command, held: bool
) -> None:
    place = play(c=command)

    with contextlib.nullcontext() if held else pytest.raises(Broken):
        faults.told_to_stop(place, random.Random(1))


def test_a_command_that_stops_as_if_it_were_done_is_seen(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(small: Small, place: Place) -> int:
        raise Broken("blocks are missing")

    place = play(c=Command(status=0))
    monkeypatch.setattr(faults, "check_complete", check)

    with pytest.raises(Broken, match="blocks are missing"):
        faults.told_to_stop(place, random.Random(1))


def test_commands_are_told_alone_and_as_a_terminal_does(
    tmp_path: Path, play: Play
) -> None:
    ways = set()
    for seed in range(20):
        command = Command(status=130, words=STOPPED)
        place = play(c=command)
        faults.told_to_stop(place, random.Random(seed))
        ways.update(command.told)
        shutil.rmtree(tmp_path / "c")

    assert ways == {
        (tell, number)
        for tell in ("kill", "killpg")
        for number in (signal.SIGINT, signal.SIGTERM)
    }


def test_what_broke_on_a_disk_of_its_own_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if mounted: what is in the folder is gone with the disk."""
    folder = tmp_path / "disk"

    def mount(argv: list[str], *, check: bool) -> None:
        if argv[0] == "umount":
            for path in folder.iterdir():
                path.unlink()

    monkeypatch.setattr(subprocess, "run", mount)

    def break_on_it() -> None:
        with faults._disk_of(folder, "1m"):
            (folder / "records.jsonl").write_bytes(b"half a li")
            raise Broken

    with pytest.raises(Broken):
        break_on_it()
    with faults._disk_of(tmp_path / "well", "1m"):
        pass

    kept = [p.read_bytes() for p in tmp_path.rglob("records.jsonl")]
    assert kept == [b"half a li"]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("well-")]


def test_a_campaign_ignores_no_signal_that_torture_was_started_to_ignore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is when it runs in the background, or under nohup."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\ngrep SigIgn /proc/self/status\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    place = Place(results=tmp_path, name="c")
    ignored = {n: signal.signal(n, signal.SIG_IGN) for n in STOPPING}
    try:
        with running(Small(target="uml"), place) as (process, said):
            assert process.wait() == 0
    finally:
        for number, before in ignored.items():
            signal.signal(number, before)

    told = int(said.read_text().split()[1], 16)
    assert not any(told >> (number - 1) & 1 for number in STOPPING)
