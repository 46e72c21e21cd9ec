"""Controls processes with ptrace: lists their calls, and stops a child at its birth.

A stopped process can also be made to execute any system call. Never time a traced
process. python-ptrace controls the processes, but its maps parser is not used
(``tests/kernel/test_readers.py`` says why).
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

# A leaf function may use memory below the stack pointer (128 bytes on x86-64). This is
# farther below.
_BELOW_STACK = 1024
_ERRNO_MAX = 4095


@dataclass(frozen=True, slots=True)
class _Machine:
    """The registers of a system call, by their names in python-ptrace.

    The number of the call is in ``number`` before the call, and in ``entered`` once the
    kernel has it. ``instruction`` is the size in bytes of the instruction that calls.
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
    """A system call at its entry: its name, and its six unsigned arguments."""

    name: str
    words: tuple[int, ...]


class StoppedProcess:
    """A traced process that is stopped. Addresses and sizes are in bytes."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self._machine = _machine()
        self.pid: int = process.pid

    def read(self, address: int, size: int) -> bytes:
        """Read its memory, whatever its protection. Raises OSError."""
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            return os.pread(memory.fileno(), size, address)

    def write(self, address: int, data: bytes) -> None:
        """Write to its memory, whatever its protection. Raises OSError."""
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), data, address)

    def call(self, name: str, *arguments: int | bytes) -> int:
        """Make the process execute a system call; return the kernel's result.

        An argument of bytes is written below its stack, with a NUL byte at the end, and
        its address is passed. Afterwards memory and registers are restored. The process
        must be stopped right after a system call, like a child at its birth. Raises
        OSError if the call fails.
        """
        machine, process = self._machine, self._process
        before, changed = process.getregs(), process.getregs()
        buffer = getattr(before, machine.stack) - _BELOW_STACK & ~15
        texts = b"".join(a + b"\0" for a in arguments if isinstance(a, bytes))
        buffer -= len(texts)
        overwritten = self.read(buffer, len(texts))
        self.write(buffer, texts)
        at = buffer
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
        self.write(buffer, overwritten)
        if result >= 2**64 - _ERRNO_MAX:
            raise OSError(2**64 - result, os.strerror(2**64 - result))
        return int(result)

    def resume(self) -> None:
        """Let it run."""
        self._process.cont()

    def wait_for_end(self) -> int:
        """Wait for the end of the process; return its exit status, or -signal."""
        process = self._process
        event = process.debugger.waitProcessEvent(pid=self.pid)
        while not isinstance(event, ProcessExit):
            process.cont(event.signum if isinstance(event, ProcessSignal) else 0)
            event = process.debugger.waitProcessEvent(pid=self.pid)
        return int(-event.signum if event.exitcode is None else event.exitcode)


@dataclass(frozen=True, slots=True)
class Birth:
    """A parent stopped in its fork, and its child before its first instruction."""

    parent: StoppedProcess
    child: StoppedProcess

    def resume(self) -> tuple[int, int]:
        """Let both run to their end; return the exit statuses of parent and child.

        A status is -N if signal N ended the process. The parent may wait for its child,
        but the child must not wait for a signal from its parent.
        """
        self.parent.resume()
        self.child.resume()
        child = self.child.wait_for_end()
        return self.parent.wait_for_end(), child


def traced_calls(work: Work) -> list[TracedCall]:
    """Run ``work`` in a child of this process; return its system calls in order.

    Processes that it forks are not traced. Raises CheckFailed if ``work`` raised, and
    EnvironmentFault if this process is not allowed to trace.
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
                        "expected the traced process to end with status 0, but: "
                        f"{end}; its output says why"
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
    """Run ``work`` in a child of this process until it forks, and stop both processes.

    They are killed when the context ends, unless they have ended. Raises CheckFailed
    if ``work`` does not fork, and EnvironmentFault like ``traced_calls``.
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
            raise CheckFailed(f"expected the traced process to fork, but: {event}")
        child = event.process
        try:
            yield Birth(StoppedProcess(process), StoppedProcess(child))
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
            f"a child of this process cannot be traced: {error}. A container may "
            "forbid ptrace; run this in a guest"
        ) from error
    try:
        yield process
    finally:
        _end(process)


def _end(process: Any) -> None:
    # Kill and reap the process in any state. python-ptrace's own way writes log lines.
    if process.running:
        _kill(process.pid)


def _kill(pid: int) -> None:
    # The process may be stopped, so kill it before waiting for it.
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
            f"tracing works on {' and '.join(_MACHINES)}, not on {platform.machine()}"
        ) from None
