"""Processes held by ptrace: their calls one by one, a child stopped at its birth,
and a call made by it that its program never asked for.

Nothing that is traced may be timed. python-ptrace moves the processes; its maps
parser is not used (``tests/kernel/test_readers.py`` says why).
"""

import contextlib
import os
import platform
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ptrace.binding import ptrace_traceme
from ptrace.debugger import NewProcessEvent, ProcessExit, ProcessSignal, PtraceDebugger
from ptrace.error import PtraceError
from ptrace.syscall import SYSCALL_NAMES

from harness.errors import CheckFailed, EnvironmentFault
from harness.linux import bound_fork

Work = Callable[[], None]

# Below what a leaf function may use without moving the stack pointer (128 on x86-64).
_BELOW_STACK = 1024
_ERRNO_MAX = 4095


@dataclass(frozen=True, slots=True)
class _Machine:
    """Registers of a system call, as python-ptrace calls them.

    ``entered`` holds the number once the kernel has it, ``number`` before;
    ``instruction`` is the size in bytes of the one that calls.
    """

    number: str
    entered: str
    words: tuple[str, ...]
    result: str
    at: str
    stack: str
    instruction: int


_MACHINES = {
    "aarch64": _Machine(
        "r8", "r8", ("r0", "r1", "r2", "r3", "r4", "r5"), "r0", "pc", "sp", 4
    ),
    "x86_64": _Machine(
        "rax", "orig_rax", ("rdi", "rsi", "rdx", "r10", "r8", "r9"), "rax", "rip",
        "rsp", 2,
    ),
}  # fmt: skip
_NUMBERS = {name: number for number, name in SYSCALL_NAMES.items()}


@dataclass(frozen=True, slots=True)
class TracedCall:
    """A system call as it was entered: its name, and its six words, unsigned."""

    name: str
    words: tuple[int, ...]


class HeldProcess:
    """A traced process that stands still. Addresses and sizes are in bytes."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self._machine = _machine()
        self.pid: int = process.pid

    def read(self, address: int, size: int) -> bytes:
        """Bytes of its memory, whatever their protection. Raises OSError."""
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            return os.pread(memory.fileno(), size, address)

    def write(self, address: int, data: bytes) -> None:
        """Change bytes of its memory, whatever their protection. Raises OSError."""
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), data, address)

    def call(self, name: str, *arguments: int | bytes) -> int:
        """Have it make a system call where it stands; what the kernel returned.

        Bytes are lent to it below its stack, with a NUL byte behind them, and
        their address is passed. Memory and registers are put back. Needs a
        process that stands right behind a system call, as one at birth does.
        Raises OSError with the errno that the call failed with.
        """
        machine, process = self._machine, self._process
        before, changed = process.getregs(), process.getregs()
        lent = getattr(before, machine.stack) - _BELOW_STACK & ~15
        texts = b"".join(a + b"\0" for a in arguments if isinstance(a, bytes))
        lent -= len(texts)
        kept = self.read(lent, len(texts))
        self.write(lent, texts)
        at = lent
        for register, argument in zip(machine.words, arguments, strict=False):
            if isinstance(argument, bytes):
                setattr(changed, register, at)
                at += len(argument) + 1
            else:
                setattr(changed, register, argument)
        setattr(changed, machine.number, _NUMBERS[name])
        setattr(changed, machine.at, getattr(before, machine.at) - machine.instruction)
        process.setregs(changed)
        for _ in ("enter", "leave"):
            process.syscall()
            process.waitSyscall()
        result = getattr(process.getregs(), machine.result)
        process.setregs(before)
        self.write(lent, kept)
        if result >= 2**64 - _ERRNO_MAX:
            raise OSError(2**64 - result, os.strerror(2**64 - result))
        return int(result)

    def go_on(self) -> None:
        """Let it run."""
        self._process.cont()

    def run_out(self) -> int:
        """Wait for the end of a process that runs: its exit status, or -signal."""
        process = self._process
        event = process.debugger.waitProcessEvent(pid=self.pid)
        while not isinstance(event, ProcessExit):
            process.cont(event.signum if isinstance(event, ProcessSignal) else 0)
            event = process.debugger.waitProcessEvent(pid=self.pid)
        return int(-event.signum if event.exitcode is None else event.exitcode)


@dataclass(frozen=True, slots=True)
class Birth:
    """A parent that stands in its fork, and its child before its first instruction."""

    parent: HeldProcess
    child: HeldProcess

    def resume(self) -> tuple[int, int]:
        """Let both run to their end: exit statuses of parent and child.

        -N where signal N ended one. The parent may wait for its child; the child
        may not wait for a signal of its parent's.
        """
        self.parent.go_on()
        self.child.go_on()
        child = self.child.run_out()
        return self.parent.run_out(), child


def traced_calls(work: Work) -> list[TracedCall]:
    """Every system call that ``work`` makes in a child of this process, in order.

    Processes that it forks are not traced. Raises CheckFailed where it raised, and
    EnvironmentFault where this process may not trace.
    """
    machine = _machine()
    calls: list[TracedCall] = []
    with _traced(work) as process:
        entering, passed_on = True, 0
        while True:
            try:
                process.syscall(passed_on)
                process.waitSyscall()
            except ProcessSignal as caught:
                passed_on = caught.signum
                continue
            except ProcessExit as end:
                if end.exitcode != 0:
                    raise CheckFailed(
                        f"the traced process was to end with status 0, not {end}: "
                        "what it printed says why"
                    ) from None
                return calls
            passed_on = 0
            if entering:
                registers = process.getregs()
                number = getattr(registers, machine.entered)
                words = tuple(int(getattr(registers, r)) for r in machine.words)
                calls.append(
                    TracedCall(SYSCALL_NAMES.get(number, f"call {number}"), words)
                )
            entering = not entering


@contextlib.contextmanager
def stopped_at_birth(work: Work) -> Iterator[Birth]:
    """Run ``work`` in a child of this process until it forks, and hold both.

    They are killed when the block ends, unless they have ended. Raises CheckFailed
    where ``work`` did not fork, and EnvironmentFault as ``traced_calls``.
    """
    with _traced(work) as process:
        debugger = process.debugger
        debugger.traceFork()
        process.setoptions(debugger.options)
        process.cont()
        event = debugger.waitProcessEvent(pid=process.pid)
        while isinstance(event, ProcessSignal):
            process.cont(event.signum)
            event = debugger.waitProcessEvent(pid=process.pid)
        if not isinstance(event, NewProcessEvent):
            raise CheckFailed(f"the traced process was to fork, but: {event}")
        child = event.process
        try:
            yield Birth(HeldProcess(process), HeldProcess(child))
        finally:
            _end(child)


@contextlib.contextmanager
def _traced(work: Work) -> Iterator[Any]:
    pid = bound_fork()
    if pid == 0:
        code = 1
        try:
            ptrace_traceme()
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
            code = 0
        except BaseException as error:
            os.write(2, f"in the traced process: {error!r}\n".encode())
        finally:
            os._exit(code)
    try:
        process = PtraceDebugger().addProcess(pid, is_attached=True)
    except (PtraceError, ProcessExit) as error:
        _kill(pid)
        raise EnvironmentFault(
            f"a child of this process was to be traced: {error}. Containers may forbid "
            "ptrace; run this in a guest"
        ) from error
    try:
        yield process
    finally:
        _end(process)


def _end(process: Any) -> None:
    """Kill and reap, whatever state it is in; without python-ptrace's log lines."""
    if process.running:
        _kill(process.pid)


def _kill(pid: int) -> None:
    # It may stand still, for ever: ended first, then waited for.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.WIFSTOPPED(os.waitpid(pid, 0)[1]):
            pass


def _machine() -> _Machine:
    try:
        return _MACHINES[platform.machine()]
    except KeyError:
        raise EnvironmentFault(
            f"traced is {' and '.join(_MACHINES)}, not {platform.machine()}"
        ) from None
