"""Traces a program's naming, mapping and fork calls, and reads the names of its VMAs.

Every process and thread that the program starts is traced too. The trace is exact but
slow, because each system call stops twice. So never time a traced program.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
# How the name of memory without a file begins in maps.
_ANONYMOUS = (b"[anon", b"[heap]", b"[stack]")
# ANON_VMA_NAME_MAX_LEN of mm/madvise.c is 80, its NUL included.
_MOST_NAME = 256
# __WALL (linux/wait.h) waits for threads too. PTRACE_O_EXITKILL is from linux/ptrace.h.
_WALL, _EXITKILL = 0x4000_0000, 1 << 20
_PAUSE_S = 0.05
# A signal that comes while a process is attached waits until it is detached.
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

_tgkill = quick.tgkill
_tgkill.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int)


@dataclass(frozen=True, slots=True)
class NamingCall:
    """A call that names memory; ``name`` is None if it clears a name.

    ``error`` is the errno of the call, or 0 if it succeeded. On a kernel without
    names it is EINVAL.
    """

    pid: int
    start: int
    length: int
    name: bytes | None
    error: int


@dataclass(frozen=True, slots=True)
class NamedMemory:
    """The VMAs of one process with the same name: their number, and their bytes in all.

    ``name`` is the name in maps; it is empty for anonymous memory without a name.
    Memory of files, vdso and vvar are not included.
    """

    pid: int
    name: bytes
    vmas: int
    length: int


@dataclass(slots=True)
class ProgramCalls:
    """The result of a trace. ``counts`` and ``failed`` count by the name of the call.

    ``memory`` has the memory of each process at its end, or at the end of the trace.
    ``status`` is the exit status of the program, -N if signal N ended it, or None if
    it still runs.
    """

    naming: list[NamingCall] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    memory: list[NamedMemory] = field(default_factory=list)
    status: int | None = None


def calls_of_command(argv: Sequence[str]) -> ProgramCalls:
    """Run a command and trace it to its end.

    Raises UsageError if there is no such program, EnvironmentFault if this process is
    not allowed to trace. On an interrupt, all traced processes are killed.
    """
    path = shutil.which(argv[0])
    if path is None:
        raise UsageError(f"no program is called {argv[0]!r} in PATH or in this folder")
    pid = bound_fork()
    if pid == 0:
        try:
            ptrace_traceme()
            os.execv(path, list(argv))
        except BaseException as error:
            os.write(2, f"anonvma: {path} cannot be run: {error}\n".encode())
        finally:
            os._exit(127)
    with _tracing(pid, ours=True) as trace:
        trace.run()
        return trace.calls


def calls_of_process(pid: int, *, seconds: float | None = None) -> ProgramCalls:
    """Trace a running process for some seconds, or until it ends or Ctrl-C is pressed.

    After the trace the process runs on. Raises UsageError if there is no such process,
    EnvironmentFault if this process is not allowed to trace it.
    """
    if not Path(f"/proc/{pid}").exists():
        raise UsageError(f"no process has the pid {pid}")
    end = time.monotonic() + (seconds or float("inf"))
    # An exception between a task's stop and its restart would leave it stopped.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, *_ENDING})
    try:
        with _tracing(pid, ours=False) as trace:
            trace.run(lambda: time.monotonic() >= end or bool(_ENDING & _pending()))
            trace.detach()
            return trace.calls
    finally:
        # Ctrl-C ended the trace, and nothing else. Other signals act now.
        signal.sigtimedwait({signal.SIGINT}, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pending() -> set[int]:
    return set(signal.sigpending())


class _Trace:
    """The traced tasks, and the calls that they made."""

    def __init__(self, debugger: Any, first: int) -> None:
        self.calls = ProgramCalls()
        self._debugger = debugger
        self._first = first
        self._entered: dict[int, tuple[str, Entered, bytes | None]] = {}

    def run(self, is_over: Callable[[], bool] | None = None) -> None:
        """Let all tasks run and record their calls, until all have ended or it is over.

        With ``is_over``, SIGCHLD is blocked.
        """
        for process in list(self._debugger):
            process.syscall()
        while len(self._debugger):
            event = self._next_event(is_over)
            if event is None:
                return
            self._take(event)

    def detach(self) -> None:
        """Stop tracing; every task runs on."""
        tasks = [task.pid for task in self._debugger]
        groups = {task: _group_of(task) for task in tasks}
        for pid in set(filter(None, groups.values())):
            self._look_at_memory(pid)
        for task, group in groups.items():
            # If a task has ended meanwhile, its exit event comes below.
            _tgkill(group or 0, task, signal.SIGSTOP)
        while len(self._debugger):
            event = self._next_event(None)
            if isinstance(event, ProcessSignal) and event.signum == signal.SIGSTOP:
                ptrace_detach(event.process.pid)
                self._debugger.deleteProcess(event.process)
            elif event is not None:
                self._take(event)

    def _next_event(self, is_over: Callable[[], bool] | None) -> ProcessEvent | None:
        """The next event of a task; None when it is over."""
        flags = os.WEXITED | os.WSTOPPED | os.WNOWAIT | _WALL
        if is_over is not None:
            flags |= os.WNOHANG
        while True:
            if is_over is not None and is_over():
                return None
            found = os.waitid(os.P_ALL, 0, flags)
            if found is None:
                signal.sigtimedwait({signal.SIGCHLD}, _PAUSE_S)
                continue
            # A new task may stop before its parent reports it. Then look at the events
            # of all known tasks: its parent's is one of them.
            known = [p.pid for p in self._debugger]
            for pid in [found.si_pid] if found.si_pid in known else known:
                event = self._debugger.waitProcessEvent(pid=pid, blocking=False)
                if event is not None:
                    return event
            # A child that is not traced has ended, or the parent reports in a moment.
            time.sleep(_PAUSE_S / 50)

    def _take(self, event: ProcessEvent) -> None:
        process = event.process
        match event:
            case ProcessExit():
                self._entered.pop(process.pid, None)
                if process.pid == self._first:
                    signum = event.signum
                    self.calls.status = -signum if signum else event.exitcode
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
        self.calls.counts[name] += 1
        self.calls.failed[name] += end.error != 0
        if name == NAMING:
            start, length = call.arguments[2:4]
            pid = _group_of(task) or task
            self.calls.naming.append(NamingCall(pid, start, length, text, end.error))

    def _look_at_memory(self, pid: int) -> None:
        found: Counter[bytes] = Counter()
        lengths: Counter[bytes] = Counter()
        with contextlib.suppress(OSError):
            for entry in parse_maps(read_maps(pid)):
                if entry.pathname.startswith(_ANONYMOUS) or not entry.pathname:
                    found[entry.pathname] += 1
                    lengths[entry.pathname] += entry.end - entry.start
        # If execve replaced the program, drop the memory of the old one.
        self.calls.memory = [m for m in self.calls.memory if m.pid != pid]
        self.calls.memory += [
            NamedMemory(pid, name, found[name], lengths[name]) for name in sorted(found)
        ]


@contextlib.contextmanager
def _tracing(pid: int, *, ours: bool) -> Iterator[_Trace]:
    # Trace a process with all its tasks. A process that we started is killed at the
    # end, if it has not ended.
    debugger = PtraceDebugger()
    debugger.traceFork()
    debugger.traceExec()
    debugger.traceClone()
    if ours:
        # If this process is killed, the kernel kills the traced processes.
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
        f"the process cannot be traced: {error}. To trace another user's process, you "
        "must be root; a container may forbid ptrace"
    )


def _name_of(call: Entered) -> str:
    name = str(SYSCALL_NAMES.get(call.number, f"call {call.number}"))
    if name == "prctl" and call.arguments[:2] == (PR_SET_VMA, PR_SET_VMA_ANON_NAME):
        return NAMING
    return name


def _text_at(task: int, address: int) -> bytes | None:
    # The C string at an address in a task; None for address 0, empty if not mapped.
    if address == 0:
        return None
    try:
        with open(f"/proc/{task}/mem", "rb", buffering=0) as memory:
            # The read is short if the string is in the last mapped page.
            text = os.pread(memory.fileno(), _MOST_NAME, address)
    except OSError:
        return b""
    return text.partition(b"\0")[0]


def _group_of(task: int) -> int | None:
    # The process of a task; None if the task has ended.
    try:
        status = Path(f"/proc/{task}/status").read_text()
    except OSError:
        return None
    return next(int(line[5:]) for line in status.splitlines() if line[:5] == "Tgid:")
