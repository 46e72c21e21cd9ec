import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import EnvironmentFault, GuestLost, GuestPanicked
from harness.targets.qmp import dump_memory

GREETING = {"QMP": {"version": {"qemu": {}, "package": ""}, "capabilities": []}}
Answer = Callable[[str], dict[str, object] | None]


@pytest.fixture
def console(tmp_path: Path) -> Path:
    path = tmp_path / "console.txt"
    path.write_text("booting\n")
    return path


@pytest.fixture
def monitor() -> Iterator[Callable[[Answer], socket.socket]]:
    """A QEMU whose monitor answers as told; None: it is gone."""
    threads = []

    def start(answer: Answer) -> socket.socket:
        ours, theirs = socket.socketpair()

        def serve() -> None:
            with theirs:
                theirs.sendall(json.dumps(GREETING).encode() + b"\n")
                # One command at a time, each in one piece.
                while said := theirs.recv(1 << 16):
                    asked = json.loads(said)
                    told = answer(asked["execute"])
                    if told is None:
                        return
                    told = told | {k: v for k, v in asked.items() if k == "id"}
                    theirs.sendall(json.dumps(told).encode() + b"\n")

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return ours

    yield start
    for thread in threads:
        thread.join(10)


def test_a_guest_is_stopped_and_then_dumped(
    monitor: Callable[[Answer], socket.socket], console: Path, tmp_path: Path
) -> None:
    asked: list[str] = []

    def answer(word: str) -> dict[str, object]:
        asked.append(word)
        return {"return": {}}

    dump_memory(
        monitor(answer),
        tmp_path / "dump", console,
    )  # fmt: skip

    assert asked == ["qmp_capabilities", "stop", "dump-guest-memory"]


def test_a_dump_that_cannot_be_written_is_told_as_qemu_tells_it(
    monitor: Callable[[Answer], socket.socket], console: Path, tmp_path: Path
) -> None:
    def answer(word: str) -> dict[str, object]:
        if word == "dump-guest-memory":
            return {"error": {"class": "GenericError", "desc": "No space\x1b[2J"}}
        return {"return": {}}

    with pytest.raises(EnvironmentFault, match=r"cannot be written to .*dump") as told:
        dump_memory(monitor(answer), tmp_path / "dump", console)

    assert "No space" in str(told.value)
    assert "\x1b" not in str(told.value)


@pytest.mark.parametrize(
    ("shown", "kind"),
    [("booting\n", GuestLost), ("Kernel panic - not syncing: x\n", GuestPanicked)],
)
def test_a_guest_that_dies_in_its_dump_is_one_error(
    monitor: Callable[[Answer], socket.socket],
    console: Path,
    tmp_path: Path,
    shown: str,
    kind: type[Exception],
) -> None:
    console.write_text(shown)

    def answer(word: str) -> dict[str, object] | None:
        return None if word == "dump-guest-memory" else {"return": {}}

    with pytest.raises(kind):
        dump_memory(monitor(answer), tmp_path / "dump", console)
