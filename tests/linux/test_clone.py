import os
import time

from harness.linux import timed_fork, timed_wait


def test_fork_and_wait_are_clocked_from_both_sides() -> None:
    reading, writing = os.pipe()

    pid, before, after = timed_fork(time.CLOCK_MONOTONIC)
    if pid == 0:
        os.write(writing, str(after).encode())
        os._exit(7)
    os.close(writing)
    with open(reading) as pipe:
        child_first = int(pipe.read())
    status, asked, reaped = timed_wait(pid, time.CLOCK_MONOTONIC)

    assert os.waitstatus_to_exitcode(status) == 7
    assert before < child_first < reaped
    assert before < after < asked <= reaped
