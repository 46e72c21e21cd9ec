"""Programs followed by ptrace: their calls, their children, their threads."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.errors import EnvironmentFault, UsageError
from harness.linux import anon_name_supported
from harness.tracing.program_calls import (
    NAMING,
    NamingCall,
    calls_of_command,
    calls_of_process,
)
from tests.tracer import traced_calls

# Names 8 KiB and clears 4 KiB of them, in a thread; forks once, runs one program.
PROGRAM = """
import ctypes, mmap, os, subprocess, threading
memory = mmap.mmap(-1, 8192)
libc = ctypes.CDLL(None)
at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
def name(length, text):
    libc.prctl(0x53564D41, 0, ctypes.c_ulong(at), ctypes.c_ulong(length), text)
name(8192, ctypes.create_string_buffer(b"two pages"))
clear = threading.Thread(target=name, args=(4096, None))
clear.start()
clear.join()
pid = os.fork()
if pid == 0:
    os._exit(3)
os.waitpid(pid, 0)
subprocess.run(["true"])
os._exit(5)
"""
SLEEPER = """
import sys, threading, time
for _ in range(3):
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
print("there", flush=True)
while True:
    time.sleep(0.01)
"""


@pytest.fixture(autouse=True, scope="module")
def may_trace() -> None:
    """Skip where ptrace is forbidden, as in some containers."""
    try:
        traced_calls(lambda: None)
    except EnvironmentFault as fault:
        pytest.skip(str(fault))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[str]]:
    """A process of four threads that makes calls all the time."""
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        yield process
        process.kill()


def test_calls_of_all_processes_and_threads_are_seen() -> None:
    seen = calls_of_command([sys.executable, "-c", PROGRAM])

    assert seen.status == 5
    refused = 0 if anon_name_supported() else errno.EINVAL
    (first, second) = seen.naming
    assert first == NamingCall(first.pid, first.start, 8192, b"two pages", refused)
    assert second == NamingCall(first.pid, first.start, 4096, None, refused)
    assert seen.counts[NAMING] == 2
    # The thread, the fork, and the program that was run.
    assert sum(seen.counts[n] for n in ("clone", "clone3", "fork", "vfork")) == 3
    assert len({memory.pid for memory in seen.memory}) == 3
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_program_that_a_signal_ends_is_said_to_end_by_it() -> None:
    kill = "import os; os.kill(os.getpid(), 9)"

    assert calls_of_command([sys.executable, "-c", kill]).status == -signal.SIGKILL


def test_what_cannot_be_run_or_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no program is called 'no-such-program'"):
        calls_of_command(["no-such-program"])
    with pytest.raises(UsageError, match="no process has the pid 99999999"):
        calls_of_process(99_999_999, seconds=1)


def test_a_process_goes_on_when_the_trace_has_ended(
    sleeper: subprocess.Popen[str],
) -> None:
    seen = calls_of_process(sleeper.pid, seconds=0.2)

    assert seen.status is None
    assert {memory.pid for memory in seen.memory} == {sleeper.pid}
    # It still makes calls, in all of its threads, and nobody traces it.
    process = psutil.Process(sleeper.pid)
    before = process.num_ctx_switches().voluntary
    end = time.monotonic() + 60
    while process.num_ctx_switches().voluntary < before + 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    for task in Path(f"/proc/{sleeper.pid}/task").iterdir():
        status = (task / "status").read_text()
        assert "TracerPid:\t0\n" in status
        assert "State:\tT" not in status


def test_a_process_that_ends_under_the_trace_is_reported(
    sleeper: subprocess.Popen[str],
) -> None:
    with subprocess.Popen(["sh", "-c", f"sleep 0.3; kill {sleeper.pid}"]):
        seen = calls_of_process(sleeper.pid, seconds=60)

    assert seen.status == -signal.SIGTERM


BUSY = """
import os
print("there", flush=True)
while True:
    os.getppid()
"""


@pytest.mark.long
@pytest.mark.parametrize("wait_s", [0.3, 0.4, 0.5, 0.6])
def test_ctrl_c_detaches_from_a_busy_process_at_any_moment(wait_s: float) -> None:
    """A task that was stopped then would stay so."""
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True
    ) as busy:
        assert busy.stdout is not None
        assert busy.stdout.readline() == "there\n"
        trace = subprocess.Popen(
            [sys.executable, "-m", "harness", "calls", "--pid", str(busy.pid)],
            stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        status = Path(f"/proc/{busy.pid}/status")
        end = time.monotonic() + 60
        while "TracerPid:\t0\n" in status.read_text() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(wait_s)
        trace.send_signal(signal.SIGINT)
        out, _ = trace.communicate(timeout=60)

        assert trace.returncode == 0
        assert out.endswith("the process runs on\n")
        assert "TracerPid:\t0\n" in status.read_text()
        assert psutil.Process(busy.pid).status() != psutil.STATUS_STOPPED
        busy.kill()
