"""The processes of one trace: each executes its own steps, in the trace's order.

Every process has the whole trace. A process executes its step, reads the maps of all
live processes, and goes on to the next step. If the next step belongs to another
process, it writes the step's index into that process's pipe and waits. Each step is
reported as a list:
[errno, [[process, lines kept before, lines kept after, new lines], ...],
warnings in the kernel's log]. Only the changed lines of maps are written.
"""

import json
import os
import re
import signal
import struct
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from harness.linux import bound_fork, read_maps
from harness.worker.executor.calls import CallContext, call
from harness.worker.executor.limit import ArenaLimit, MapCountLimit
from harness.workload.ops import MOST_PROCESSES, Exec, Exit, Fork, Limit, Op, Step

_FLUSH_EVERY = 64

_COMPLAINT = re.compile(r"WARNING:|BUG:|refcount_t|Oops|Internal error|list_(add|del)")
_TURN = struct.Struct("=i")


@dataclass
class SharedState:
    """What the processes of a trace share: steps, pipes, pids, descriptors.

    Results go to descriptor ``out``. With ``hold`` the processes stay alive at the
    end of the trace, and process 0 stops itself (SIGSTOP).
    """

    trace: int
    steps: Sequence[Step]
    at_end: bool
    out: int
    kmsg: int | None
    limit: MapCountLimit
    context: CallContext
    scratch: int
    pids: memoryview
    hold: bool = False
    pipes: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.alive_after = _alive_after(self.steps)
        forks = any(isinstance(step.op, Fork) for step in self.steps)
        self.pipes = [os.pipe() for _ in range(MOST_PROCESSES if forks else 0)]

    def close(self) -> None:
        """Close the pipes."""
        for pipe in self.pipes:
            for fd in pipe:
                os.close(fd)


def _alive_after(steps: Sequence[Step]) -> list[tuple[int, ...]]:
    alive = [0]
    after = []
    for step in steps:
        if isinstance(step.op, Fork):
            alive.append(step.op.child)
        elif isinstance(step.op, Exit | Exec):
            alive.remove(step.who)
        after.append(tuple(alive))
    return after


def longest_s(steps: int) -> int:
    """Seconds after which a trace with this many steps counts as hung and is killed.

    A step takes less than a millisecond; the rest is for a busy machine.
    """
    return 60 + steps // 100


def run_process_0(shared: SharedState) -> NoReturn:
    """Run process 0 of a trace in this process; never returns."""
    shared.pids[0] = os.getpid()
    _Process(shared, 0).run(0)


class _Process:
    def __init__(self, shared: SharedState, me: int) -> None:
        self._shared = shared
        self._me = me
        self._seen: list[list[Any]] = []
        self._from = 0
        self._maps: dict[int, tuple[int, int]] = {}
        self._known: dict[int, list[bytes]] = {}
        self._limit = ArenaLimit(shared.limit, self._vma_counts)

    def run(self, at: int) -> NoReturn:
        self._set_alarm()
        code = 1
        try:
            self._from = at
            while at < len(self._shared.steps):
                at = self._turn(at)
            self._flush()
            if self._shared.hold:
                self._hold()
            self._end_others()
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def _set_alarm(self) -> None:
        if not self._shared.hold:
            signal.alarm(longest_s(len(self._shared.steps)))

    def _turn(self, at: int) -> int:
        step = self._shared.steps[at]
        if step.who != self._me:
            self._flush()
            self._hand_over(step.who, at)
            return self._wait()
        match step.op:
            case Fork(child):
                return self._fork(child, at)
            case Exit() | Exec():
                self._flush()
                self._leave(step, at)
            case Limit(room):
                self._limit.set(room)
                self._look(at, 0)
                return at + 1
        self._look(at, self._call(step.op))
        return at + 1

    def _call(self, op: Op) -> int:
        # An error from setting the limit must not look like the call's errno: only
        # the call itself is inside the try.
        with self._limit.for_a_call():
            try:
                call(op, self._shared.context)
            except OSError as error:
                return error.errno or -1
        return 0

    def _vma_counts(self) -> tuple[int, int]:
        """The number of VMAs of this process outside the arena, and inside."""
        text = read_maps()
        arena = len(self._shared.context.arena.inside.findall(text))
        # maps shows [vsyscall], but no mm contains it.
        return text.count(b"\n") - arena - text.count(b" [vsyscall]\n"), arena

    def _fork(self, child: int, at: int) -> int:
        self._flush()
        pid = bound_fork()
        if pid == 0:
            self._set_alarm()
            self._me = child
            self._seen.clear()
            return self._wait()
        self._shared.pids[child] = pid
        self._look(at, 0)
        return at + 1

    def _leave(self, step: Step, at: int) -> NoReturn:
        self._hand_over(self._parent(at), at)
        if isinstance(step.op, Exec):
            os.ftruncate(self._shared.scratch, 0)
            os.lseek(self._shared.scratch, 0, os.SEEK_SET)
            os.dup2(self._shared.scratch, 1)
            os.execvp("cat", ["cat", "/proc/self/maps"])
        os._exit(0)

    def _parent(self, at: int) -> int:
        # Process numbers are reused: take the latest fork of this number.
        for step in reversed(self._shared.steps[:at]):
            if isinstance(step.op, Fork) and step.op.child == self._me:
                return step.who
        raise AssertionError("process 0 never exits")

    def _reap(self, at: int) -> int:
        step = self._shared.steps[at]
        status = os.waitpid(self._shared.pids[step.who], 0)[1]
        if status:
            raise RuntimeError(f"process {step.who} ended with status {status}")
        self._known.pop(step.who, None)
        shown = []
        if isinstance(step.op, Exec):
            text = os.pread(self._shared.scratch, 1 << 20, 0)
            if not text.endswith(b"\n"):
                raise RuntimeError("cat did not write all of its maps after execve")
            # Its heap may lie where the arena was, but it gives no names itself.
            lines = [line for line in text.splitlines() if b"[anon" in line]
            shown = [[step.who, 0, 0, [line.decode("latin-1") for line in lines]]]
        self._look(at, 0, shown)
        return at + 1

    def _wait(self) -> int:
        (at,) = _TURN.unpack(os.read(self._shared.pipes[self._me][0], _TURN.size))
        if at == len(self._shared.steps):
            if self._shared.hold:
                self._hold()
            self._await_children()
            os._exit(0)
        # Another process may have reported changes since.
        self._known.clear()
        self._from = at
        step = self._shared.steps[at]
        if step.who != self._me:
            return self._reap(at)
        return int(at)

    def _hand_over(self, who: int, at: int) -> None:
        os.write(self._shared.pipes[who][1], _TURN.pack(at))

    def _end_others(self) -> None:
        if self._shared.pipes:
            for who in self._shared.alive_after[-1]:
                if who != self._me:
                    self._hand_over(who, len(self._shared.steps))
            self._await_children()

    def _hold(self) -> NoReturn:
        # The parent of process 0 waits for this stop.
        if self._me:
            self._hand_over(0, len(self._shared.steps))
        else:
            os.kill(os.getpid(), signal.SIGSTOP)
        while True:
            signal.pause()

    def _await_children(self) -> None:
        while True:
            try:
                os.wait()
            except ChildProcessError:
                return

    def _look(self, at: int, code: int, shown: Sequence[Any] = ()) -> None:
        if self._shared.at_end and at + 1 < len(self._shared.steps):
            self._seen.append([code, None])
            return
        changes = list(shown)
        for who in self._shared.alive_after[at]:
            lines = self._arena_lines(who)
            old = self._known.get(who)
            if lines != old:
                changes.append([who, *_change(old or [], lines)])
                self._known[who] = lines
        entry: list[Any] = [code, changes]
        complaints = self._complaints()
        if complaints:
            entry.append(complaints)
        self._seen.append(entry)
        if len(self._seen) >= _FLUSH_EVERY or complaints:
            self._flush()

    def _arena_lines(self, who: int) -> list[bytes]:
        fd = self._maps_of(who)
        arena = self._shared.context.arena
        os.lseek(fd, 0, os.SEEK_SET)
        chunks = []
        while chunk := os.read(fd, 1 << 16):
            chunks.append(chunk)
            if arena.beyond.search(chunk):
                break
        return arena.inside.findall(b"".join(chunks))

    def _maps_of(self, who: int) -> int:
        # Process numbers are reused: the open file may be an earlier process's.
        pid = self._shared.pids[who]
        known, fd = self._maps.get(who, (0, -1))
        if known != pid:
            if fd != -1:
                os.close(fd)
            fd = os.open(f"/proc/{pid}/maps", os.O_RDONLY)
            self._maps[who] = pid, fd
        return fd

    def _complaints(self) -> list[str]:
        if self._shared.kmsg is None:
            return []
        found: list[str] = []
        while True:
            try:
                text = os.read(self._shared.kmsg, 8192)
            except BlockingIOError:
                return found
            except BrokenPipeError:
                # The kernel overwrote the oldest messages before they were read.
                continue
            line = text.decode("latin-1").partition(";")[2].partition("\n")[0]
            if _COMPLAINT.search(line):
                found.append(line)

    def _flush(self) -> None:
        if self._seen:
            data = {"trace": self._shared.trace, "from": self._from, "seen": self._seen}
            write_line(self._shared.out, data)
            self._from += len(self._seen)
            self._seen = []


def write_line(fd: int, data: dict[str, Any]) -> None:
    """Write one line of JSON completely, however little each write takes."""
    text = json.dumps(data, separators=(",", ":")).encode() + b"\n"
    while text:
        text = text[os.write(fd, text) :]


def _change(old: list[bytes], new: list[bytes]) -> tuple[int, int, list[str]]:
    """How many lines are kept before and after, and the new lines between them."""
    most = min(len(old), len(new))
    before = 0
    while before < most and old[before] == new[before]:
        before += 1
    after = 0
    while after < most - before and old[-1 - after] == new[-1 - after]:
        after += 1
    between = new[before : len(new) - after]
    return before, after, [line.decode("latin-1") for line in between]
