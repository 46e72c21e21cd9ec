"""Which naming, mapping and fork calls a program makes, and what its VMAs are called.

Every process and thread that the program starts is followed. The trace is exact and
slow: two stops for each system call, so nothing that runs under it may be timed.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptrace.binding import ptrace_detach, ptrace_traceme
from ptrace.debugger import (
    NewProcessEvent,
    ProcessEvent,
    ProcessExecution,
    ProcessExit,
    ProcessSignal,
    PtraceDebugger,
)
from ptrace.error import PtraceError
from ptrace.syscall import SYSCALL_NAMES

from harness.errors import EnvironmentFault, UsageError
from harness.linux import bound_fork, read_maps
from harness.linux.libc import quick
from harness.linux.uapi import PR_SET_VMA, PR_SET_VMA_ANON_NAME
from harness.maps import parse_maps
from harness.tracing.syscall_info import Entered, Returned, syscall_stop

FORKS = ("fork", "vfork", "clone", "clone3")
MAPPINGS = ("mmap", "munmap", "mremap", "mprotect", "madvise", "brk")
NAMING = "prctl(PR_SET_VMA_ANON_NAME)"
# Of memory without a file, what maps writes as its name.
_ANONYMOUS = (b"[anon", b"[heap]", b"[stack]")
# ANON_VMA_NAME_MAX_LEN of mm/madvise.c is 80, its NUL included.
_MOST_NAME = 256
# __WALL of linux/wait.h: threads too. PTRACE_O_EXITKILL of linux/ptrace.h.
_WALL, _EXITKILL = 0x4000_0000, 1 << 20
_PAUSE_S = 0.05

_tgkill = quick.tgkill
_tgkill.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int)


@dataclass(frozen=True, slots=True)
class NamingCall:
    """A call that names memory: ``name`` is None where it clears one.

    ``error`` is the errno that the kernel answered with, 0 where it did as asked:
    EINVAL from a kernel without names.
    """

    pid: int
    start: int
    length: int
    name: bytes | None
    error: int


@dataclass(frozen=True, slots=True)
class NamedMemory:
    """VMAs of one process that have the same name in maps: how many, and their bytes.

    ``name`` is what maps shows; empty for anonymous memory without a name. Memory of
    files is left out, and so are vdso and vvar.
    """

    pid: int
    name: bytes
    vmas: int
    length: int


@dataclass(slots=True)
class ProgramCalls:
    """What was seen. ``counts`` and ``failed`` are by the name of the call.

    ``memory`` is the memory of each process at its end, or when the trace ended.
    ``status`` is the exit status of the program, -N where signal N ended it, and None
    where it still runs.
    """

    naming: list[NamingCall] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    memory: list[NamedMemory] = field(default_factory=list)
    status: int | None = None


def calls_of_command(argv: Sequence[str]) -> ProgramCalls:
    """Run a command, and follow it to its end.

    Raises UsageError where it cannot be run, EnvironmentFault where this process may
    not trace. Every traced process is killed if this is interrupted.
    """
    path = shutil.which(argv[0])
    if path is None:
        raise UsageError(f"no program is called {argv[0]!r}, in PATH or here")
    pid = bound_fork()
    if pid == 0:
        try:
            ptrace_traceme()
            os.execv(path, list(argv))
        except BaseException as error:
            os.write(2, f"anonvma: {path} cannot be run: {error}\n".encode())
        finally:
            os._exit(127)
    with _following(pid, ours=True) as trace:
        trace.run()
        return trace.seen


def calls_of_process(pid: int, *, seconds: float | None = None) -> ProgramCalls:
    """Follow a running process for some seconds, or until its end or Ctrl-C.

    It goes on afterwards. Raises UsageError where there is no such process,
    EnvironmentFault where this process may not trace it.
    """
    if not Path(f"/proc/{pid}").exists():
        raise UsageError(f"no process has the pid {pid}")
    with _following(pid, ours=False) as trace:
        with contextlib.suppress(KeyboardInterrupt):
            trace.run(None if seconds is None else time.monotonic() + seconds)
        trace.let_go()
        return trace.seen


class _Trace:
    """Tasks that are traced, and what they were seen to do."""

    def __init__(self, debugger: Any, first: int) -> None:
        self.seen = ProgramCalls()
        self._debugger = debugger
        self._first = first
        self._entered: dict[int, tuple[str, Entered, bytes | None]] = {}

    def run(self, until: float | None = None) -> None:
        """Let all tasks run and look at each of their calls, until they have ended."""
        for process in list(self._debugger):
            process.syscall()
        while len(self._debugger):
            event = self._next_event(until)
            if event is None:
                return
            self._take(event)

    def let_go(self) -> None:
        """Stop tracing: every task goes on by itself."""
        tasks = [task.pid for task in self._debugger]
        groups = {task: _group_of(task) for task in tasks}
        for pid in set(filter(None, groups.values())):
            self._look_at_memory(pid)
        for task, group in groups.items():
            # One that has ended meanwhile says so below.
            _tgkill(group or 0, task, signal.SIGSTOP)
        while len(self._debugger):
            event = self._next_event(None)
            if isinstance(event, ProcessSignal) and event.signum == signal.SIGSTOP:
                ptrace_detach(event.process.pid)
                self._debugger.deleteProcess(event.process)
            elif event is not None:
                self._take(event)

    def _next_event(self, until: float | None) -> ProcessEvent | None:
        """What happened to a task; None when the time is over."""
        flags = os.WEXITED | os.WSTOPPED | os.WNOWAIT | _WALL
        while True:
            if until is not None:
                flags |= os.WNOHANG
            found = os.waitid(os.P_ALL, 0, flags)
            if found is None:
                if until is not None and time.monotonic() >= until:
                    return None
                time.sleep(_PAUSE_S)
                continue
            # A new task may stop before its parent's stop tells of it: that is next.
            known = [p.pid for p in self._debugger]
            for pid in [found.si_pid] if found.si_pid in known else known:
                event = self._debugger.waitProcessEvent(pid=pid, blocking=False)
                if event is not None:
                    return event

    def _take(self, event: ProcessEvent) -> None:
        process = event.process
        match event:
            case ProcessExit():
                self._entered.pop(process.pid, None)
                if process.pid == self._first:
                    signum = event.signum
                    self.seen.status = -signum if signum else event.exitcode
            case NewProcessEvent():
                process.syscall()
                process.parent.syscall()
            case ProcessExecution():
                process.syscall()
            case ProcessSignal() if event.signum & 0x80:
                self._look_at_call(process.pid)
                process.syscall()
            case ProcessSignal():
                process.syscall(event.signum)
            case _:
                process.syscall()

    def _look_at_call(self, task: int) -> None:
        match syscall_stop(task):
            case Entered() as call:
                name = _name_of(call)
                text = _text_at(task, call.arguments[4]) if name == NAMING else None
                if name in ("exit_group", "execve") and (pid := _group_of(task)):
                    self._look_at_memory(pid)
                self._entered[task] = name, call, text
            case Returned() as end if task in self._entered:
                name, call, text = self._entered.pop(task)
                self._count(task, name, call, text, end)

    def _count(
        self, task: int, name: str, call: Entered, text: bytes | None, end: Returned
    ) -> None:
        if name not in (NAMING, *FORKS, *MAPPINGS):
            return
        self.seen.counts[name] += 1
        self.seen.failed[name] += end.error != 0
        if name == NAMING:
            start, length = call.arguments[2:4]
            pid = _group_of(task) or task
            self.seen.naming.append(NamingCall(pid, start, length, text, end.error))

    def _look_at_memory(self, pid: int) -> None:
        found: Counter[bytes] = Counter()
        lengths: Counter[bytes] = Counter()
        with contextlib.suppress(OSError):
            for entry in parse_maps(read_maps(pid)):
                if entry.pathname.startswith(_ANONYMOUS) or not entry.pathname:
                    found[entry.pathname] += 1
                    lengths[entry.pathname] += entry.end - entry.start
        # A program that another one replaced is not what it has at its end.
        self.seen.memory = [m for m in self.seen.memory if m.pid != pid]
        self.seen.memory += [
            NamedMemory(pid, name, found[name], lengths[name]) for name in sorted(found)
        ]


@contextlib.contextmanager
def _following(pid: int, *, ours: bool) -> Iterator[_Trace]:
    """Trace a process with all its tasks; one of ours is killed if it has not ended."""
    debugger = PtraceDebugger()
    debugger.traceFork()
    debugger.traceExec()
    debugger.traceClone()
    if ours:
        # Should this process be killed, the kernel ends what it traces.
        debugger.options |= _EXITKILL
    try:
        if ours:
            debugger.addProcess(pid, is_attached=True)
        else:
            tasks = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
            for task in sorted(tasks):
                debugger.addProcess(task, is_attached=False, is_thread=task != pid)
    except (PtraceError, ProcessExit, OSError) as error:
        raise _may_not_trace(error) from None
    try:
        yield _Trace(debugger, pid)
    finally:
        if ours:
            for task in list(debugger):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(task.pid, signal.SIGKILL)
            while len(debugger):
                debugger.waitProcessEvent(pid=next(iter(debugger)).pid)


def _may_not_trace(error: object) -> EnvironmentFault:
    return EnvironmentFault(
        f"the process cannot be traced: {error}. Tracing another user's process needs "
        "root; containers may forbid ptrace"
    )


def _name_of(call: Entered) -> str:
    name = str(SYSCALL_NAMES.get(call.number, f"call {call.number}"))
    if name == "prctl" and call.arguments[:2] == (PR_SET_VMA, PR_SET_VMA_ANON_NAME):
        return NAMING
    return name


def _text_at(task: int, address: int) -> bytes | None:
    """The C string at an address of a task; None at 0, empty where it is not mapped."""
    if address == 0:
        return None
    try:
        with open(f"/proc/{task}/mem", "rb", buffering=0) as memory:
            # It may end with the last page that is mapped.
            text = os.pread(memory.fileno(), _MOST_NAME, address)
    except OSError:
        return b""
    return text.partition(b"\0")[0]


def _group_of(task: int) -> int | None:
    """The process that a task is of; None where it is gone."""
    try:
        status = Path(f"/proc/{task}/status").read_text()
    except OSError:
        return None
    return next(int(line[5:]) for line in status.splitlines() if line[:5] == "Tgid:")
