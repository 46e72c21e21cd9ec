"""Processes held by a tracer, on this very kernel."""

import ctypes
import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from ptrace.debugger import PtraceDebugger
from ptrace.error import PtraceError

from harness.errors import CheckFailed, EnvironmentFault
from tests.tracer import stopped_at_birth, traced_calls


@pytest.fixture(autouse=True, scope="module")
def may_trace() -> None:
    """Skip where ptrace is forbidden, as in some containers."""
    try:
        traced_calls(lambda: None)
    except EnvironmentFault as fault:
        pytest.skip(str(fault))


def assert_nothing_is_left() -> None:
    """This process has no child."""
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_calls_are_told_in_order_with_their_words() -> None:
    other = os.getpid()

    def work() -> None:
        os.getpgid(0)
        os.getsid(other)
        os.getpgid(0)

    calls = traced_calls(work)

    told = [(c.name, c.words[0]) for c in calls if c.name in ("getpgid", "getsid")]
    assert [c for c in told if c != ("getsid", 0)] == [
        ("getpgid", 0), ("getsid", other), ("getpgid", 0),
    ]  # fmt: skip
    assert_nothing_is_left()


def fail() -> None:
    raise OSError(errno.EIO, "on purpose")


def end_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (fail, "status 0, but: .* code 1"),
        (end_itself, "status 0, but: .* signal SIGKILL"),
    ],
    ids=["raises", "is killed"],
)
def test_a_process_that_fails_is_one_error(
    work: Callable[[], None], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CheckFailed, match=said):
        traced_calls(work)

    assert ("on purpose" in capfd.readouterr().err) is (work is fail)
    assert_nothing_is_left()


def fork() -> None:
    if os.fork() == 0:
        os._exit(5)
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]) + 1)


def test_a_child_is_held_until_it_is_let_go() -> None:
    with stopped_at_birth(fork) as birth:
        assert {birth.parent.pid, birth.child.pid}.isdisjoint({os.getpid()})
        assert birth.child.call("getpid") == birth.child.pid
        assert birth.child.call("getppid") == birth.parent.pid
        # Its own exit status tells that it goes on where it stood.
        assert birth.resume() == (6, 5)
    assert_nothing_is_left()


def state_of(pid: int) -> str:
    """One letter; none where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def test_who_is_held_ends_with_the_block() -> None:
    with stopped_at_birth(fork) as birth:
        pids = birth.parent.pid, birth.child.pid
    # Init may not have reaped the child of a parent that is gone.
    assert {state_of(pid) for pid in pids} <= {"", "Z"}
    assert_nothing_is_left()


def test_a_call_has_its_arguments_and_its_errno() -> None:
    with stopped_at_birth(fork) as birth:
        made = birth.child.call("memfd_create", b"one", 0)
        shown = Path(f"/proc/{birth.child.pid}/fd/{made}").readlink()
        assert str(shown) == "/memfd:one (deleted)"
        with pytest.raises(OSError, match="Bad file descriptor") as raised:
            birth.child.call("close", 1_000_000)

    assert raised.value.errno == errno.EBADF


def test_memory_is_read_and_written_in_one_process_alone() -> None:
    text = bytearray(b"written before the fork")
    place = (ctypes.c_char * len(text)).from_buffer(text)
    at = ctypes.addressof(place)

    with stopped_at_birth(fork) as birth:
        assert birth.child.read(at, len(text)) == bytes(text)
        birth.child.write(at, b"W")
        assert birth.child.read(at, 7) == b"Written"
        assert birth.parent.read(at, 7) == b"written"


def test_a_process_that_does_not_fork_is_one_error() -> None:
    with (
        pytest.raises(CheckFailed, match=r"to fork, but: .* exited normally"),
        stopped_at_birth(lambda: None),
    ):
        pass
    assert_nothing_is_left()


def test_a_child_that_cannot_be_traced_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(debugger: PtraceDebugger, pid: int, *, is_attached: bool) -> None:
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        raise PtraceError("no")

    monkeypatch.setattr(PtraceDebugger, "addProcess", refuse)

    with pytest.raises(EnvironmentFault, match="cannot be traced: no"):
        traced_calls(lambda: None)
    assert_nothing_is_left()
