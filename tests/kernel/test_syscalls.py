"""The calls that a workload really makes, seen by a tracer."""

import os
import signal
from collections import Counter
from collections.abc import Callable

import pytest
from ptrace.binding import ptrace_traceme
from ptrace.debugger import ProcessExit, ProcessSignal, PtraceDebugger
from ptrace.func_call import FunctionCallOptions

from harness.linux import timed_fork, timed_wait
from harness.linux.uapi import PR_SET_VMA
from harness.measure.arena import CLOCK, Arena
from harness.workload import layout_of, naming_from_label

pytestmark = pytest.mark.kernel

VMAS = 40


def traced_calls(work: Callable[[], None]) -> Counter[str]:
    """Every system call that ``work`` makes, by name; namings as ``set_vma``."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            ptrace_traceme()
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
            code = 0
        finally:
            os._exit(code)
    debugger = PtraceDebugger()
    process = debugger.addProcess(pid, is_attached=True)
    calls: Counter[str] = Counter()
    entering, passed_on = True, 0
    status = None
    while status is None:
        try:
            process.syscall(passed_on)
            process.waitSyscall()
        except ProcessSignal as caught:
            passed_on = caught.signum
            continue
        except ProcessExit as end:
            status = end.exitcode
            break
        passed_on = 0
        call = process.syscall_state.event(FunctionCallOptions())
        if entering:
            name = str(call.name)
            naming = name == "prctl" and call.arguments[0].value == PR_SET_VMA
            calls["set_vma" if naming else name] += 1
        entering = not entering
    debugger.quit()
    assert status == 0
    return calls


@pytest.mark.parametrize(
    ("label", "namings"),
    [
        ("shared:20", 1),
        ("distinct:20", VMAS),
        ("distinct-same-text:20", VMAS),
    ],
)
def test_a_scheme_makes_the_calls_that_it_says(label: str, namings: int) -> None:
    naming = naming_from_label(label)
    arena = Arena(layout_of(VMAS, 0), seed=1)

    calls = traced_calls(lambda: arena.name(naming))

    arena.unmap()
    assert calls["set_vma"] == namings
    # The texts' own mapping, made and gone.
    assert (calls["mmap"], calls["munmap"]) == (1, 1)
    assert calls["mprotect"] == 0


def test_a_layout_is_split_by_one_call_for_every_other_vma() -> None:
    calls = traced_calls(lambda: Arena(layout_of(VMAS, 0), seed=1).unmap())

    assert calls["mprotect"] == 1 + VMAS // 2
    # The reservation with a page on each side; these two, and then the rest.
    assert (calls["mmap"], calls["munmap"]) == (1, 3)
    assert calls["set_vma"] == 0


def test_a_timed_fork_is_one_clone_and_one_wait() -> None:
    def fork() -> None:
        pid, _, _ = timed_fork(CLOCK)
        if pid == 0:
            os._exit(0)
        timed_wait(pid, CLOCK)

    calls = traced_calls(fork)

    assert calls["clone"] == 1
    assert calls["wait4"] == 1
