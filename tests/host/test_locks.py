"""Locks of files, held by this process and by others."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.errors import EnvironmentFault
from harness.host.locks import exclusive

# For what should be there at once; a test that meets it fails.
DEADLINE_S = 60.0


def test_a_lock_that_is_free_is_not_waited_for(tmp_path: Path) -> None:
    waited: list[str] = []

    for _ in range(2):
        with exclusive(tmp_path / "lock", on_wait=lambda: waited.append("waited")):
            pass

    assert waited == []


def test_a_second_holder_says_so_and_waits(tmp_path: Path) -> None:
    waits, order = threading.Event(), []

    def second() -> None:
        with exclusive(tmp_path / "lock", on_wait=waits.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with exclusive(tmp_path / "lock"):
        thread.start()
        assert waits.wait(DEADLINE_S)
        order.append("first")
    thread.join(DEADLINE_S)

    assert order == ["first", "second"]


def test_a_lock_that_stays_held_is_not_waited_for_without_end(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    with (
        exclusive(lock),
        pytest.raises(EnvironmentFault, match=r"not free within 0\.2 s") as raised,
        exclusive(lock, deadline_s=0.2),
    ):
        pytest.fail("both have it")

    assert str(lock) in str(raised.value)


HOLDER = """
import sys, time
from pathlib import Path
from harness.host.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print(1, flush=True)
    time.sleep(1000)
"""


def test_a_lock_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    with holder.stdout as told:
        assert told.readline() == b"1\n"

    # It is held until the wait kills the holder: then we get in.
    with exclusive(lock, on_wait=holder.kill):
        assert holder.wait(DEADLINE_S) == -9
