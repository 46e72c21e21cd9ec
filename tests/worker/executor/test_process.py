"""The processes of a trace on this very kernel, which needs no names for it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from harness.divergence import Kernel, TraceChecker, parse_seen
from harness.host.paths import package_dir
from harness.linux import AnonNameSupport, probe_anon_name
from harness.worker.executor import ExecutorJob, render_executor_job
from harness.worker.executor.process import _change, longest_s
from harness.workload.gen import Theme, traces
from harness.workload.ops import (
    PAGE,
    Exec,
    Exit,
    Fork,
    Limit,
    Map,
    Memory,
    Op,
    Pointer,
    Protect,
    Remap,
    SetName,
    Step,
    Unmap,
    Write,
)

# As ``play`` does, whatever the kernel supports, and what /proc says at the end.
PLAYER = """
import os, json, mmap, sys, tempfile
sys.path.insert(0, sys.argv[1])
from harness.worker.executor import parse_executor_job
from harness.worker.executor.calls import make_call_context
from harness.worker.executor.arena_address import find_arena_address
from harness.worker.executor.limit import MapCountLimit
from harness.worker.executor.process import SharedState, write_line
from harness.worker.executor.executor import _play_in_child
from harness.workload.ops import FILE_PAGES, PAGE
arena = find_arena_address()
job = parse_executor_job(sys.stdin.buffer.read())
with tempfile.NamedTemporaryFile(prefix="harness-") as file:
    file.truncate(FILE_PAGES * PAGE)
    context = make_call_context(file.fileno(), arena)
    write_line(1, {"start": arena.start, "file": file.name})
    scratch = os.memfd_create("scratch")
    pids = memoryview(mmap.mmap(-1, PAGE)).cast("q")
    limit = MapCountLimit()
    for index, steps in enumerate(job.traces):
        shared = SharedState(
            index, steps, False, 1, None, limit, context, scratch, pids
        )
        status = _play_in_child(shared)
        shared.close()
        write_line(1, {"trace": index, "status": status})
"""


def steps_of(*ops: Op | Step) -> tuple[Step, ...]:
    return tuple(op if isinstance(op, Step) else Step(0, op) for op in ops)


class Played:
    """What the processes of some traces wrote."""

    def __init__(
        self, *played: Sequence[Step], pages: int = 16, spoil: str = ""
    ) -> None:
        job = ExecutorJob(pages=pages, traces=tuple(map(tuple, played)))
        program = PLAYER.replace("job = parse", f"{spoil}\njob = parse", 1)
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program, package_dir().parent],
            input=render_executor_job(job),
            capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.words = done.stderr.decode()
        first, *self.lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.start, self.file = first["start"], first["file"]

    def seen(self, trace: int = 0) -> list[Any]:
        """Every step of a trace, in the order it was written."""
        parts = [d for d in self.lines if "seen" in d and d["trace"] == trace]
        seen: list[Any] = []
        for part in parts:
            assert part["from"] == len(seen)
            seen += part["seen"]
        return seen

    def statuses(self) -> list[int]:
        return [line["status"] for line in self.lines if "status" in line]


@pytest.fixture(scope="module")
def names() -> bool:
    """Whether this kernel has names."""
    return probe_anon_name().support is AnonNameSupport.SUPPORTED


FAMILY = steps_of(
    Map(0, 8, 3),
    Protect(2, 2, 1),
    Fork(1),
    Step(1, Unmap(0, 1)),
    Step(1, Fork(2)),
    Step(2, Protect(4, 2, 0)),
    Fork(3),
    Step(3, Exit()),
    Step(2, Exec()),
    # numbers that were other processes
    Fork(2),
    Step(2, Unmap(6, 2)),
    Step(2, Fork(3)),
    Step(3, Map(0, 4, 1, Memory.SHARED)),
    Step(1, Protect(1, 1, 5)),
    Step(3, Exec()),
    Step(2, Exit()),
    Step(1, Exit()),
    Fork(1),
    Step(1, Map(8, 4, 1)),
)


def agrees(played: Played, steps: Sequence[Step], trace: int = 0) -> None:
    """What was seen is what the model does, without names."""
    checker = TraceChecker(steps, Kernel.of({"behaviour": {}} | vars(played)))
    seen = played.seen(trace)
    assert len(seen) == len(steps)
    for each in seen:
        divergence = checker.check(parse_seen(each))
        assert divergence is None, divergence


def test_a_trace_of_one_process_is_played() -> None:
    steps = steps_of(
        Map(0, 8, 3), Unmap(2, 2), Remap(0, 2, 2, 9), Write(4, 2), Protect(0, 16, 1)
    )

    played = Played(steps)

    assert played.statuses() == [0]
    assert [code for code, _ in played.seen()] == [0, 0, 0, 0, 12]
    agrees(played, steps)


def test_lines_are_those_of_proc() -> None:
    played = Played(steps_of(Map(0, 2, 3), Map(2, 2, 1, Memory.FILE)))

    (_, first), (_, second) = played.seen()
    start = played.start
    assert first == [
        [0, 0, 0, [f"{start:08x}-{start + 2 * PAGE:08x} rw-p 00000000 00:00 0 "]]
    ]
    ((who, before, after, lines),) = second
    assert (who, before, after, len(lines)) == (0, 1, 0, 1)
    assert lines[0].startswith(f"{start + 2 * PAGE:08x}-{start + 4 * PAGE:08x} r--s ")
    assert lines[0][73:] == played.file


COUNTED = """
import harness.worker.executor.process as process
usual, asked = process.read_maps, []
def read_maps(pid=None):
    asked.append(1)
    return usual(pid)
process.read_maps = read_maps
leave = os._exit
process.os._exit = lambda code: (write_line(1, {"asked": len(asked)}), leave(code))
"""


def test_a_long_trace_far_from_its_limit_seldom_counts_its_vmas() -> None:
    """It did before every call: quadratic, and hours for 65 536 VMAs."""
    calls = [Protect(i % 16, 1, (1, 3)[i % 2]) for i in range(1000)]

    played = Played(steps_of(Limit(500), Map(0, 16, 3), *calls), spoil=COUNTED)

    assert played.statuses() == [0]
    (asked,) = [line["asked"] for line in played.lines if "asked" in line]
    # A reading stands for a hundred calls.
    assert 1 <= asked <= 1 + 1002 / 100
    assert {code for code, _ in played.seen()} == {0}


def test_a_trace_has_time_for_its_steps() -> None:
    assert longest_s(1) == 60
    assert longest_s(98_307) > 98_307 * 0.005


def test_what_did_not_change_is_not_written() -> None:
    steps = steps_of(Map(0, 8, 3), Protect(0, 8, 3), Unmap(8, 1))

    assert Played(steps).seen()[1:] == [[0, []], [0, []]]


def test_processes_take_turns_and_numbers_are_used_again() -> None:
    played = Played(FAMILY, FAMILY)

    assert played.statuses() == [0, 0]
    agrees(played, FAMILY, 0)
    agrees(played, FAMILY, 1)


def test_every_process_that_is_alive_is_looked_at() -> None:
    steps = steps_of(Map(0, 8, 3), Fork(1), Fork(2), Step(2, Unmap(0, 8)))

    played = Played(steps)

    line = f"{played.start:08x}-{played.start + 8 * PAGE:08x} rw-p 00000000 00:00 0 "
    assert [[change[0] for change in changes] for _, changes in played.seen()] == [
        [0], [1], [2], [0, 1, 2],
    ]  # fmt: skip
    # A process that takes over knows nothing yet: it writes what there is.
    assert played.seen()[3][1] == [
        [0, 0, 0, [line]], [1, 0, 0, [line]], [2, 0, 0, []],
    ]  # fmt: skip


@pytest.mark.slow
def test_random_families_are_played_to_their_end() -> None:
    # Without names, which may be missing, and mremap, which changed in 6.17.
    played_traces = [
        tuple(step for step in steps if not isinstance(step.op, SetName | Remap))
        for steps in traces(7, 900, pages=16, length=300, themes=[Theme.FAMILY])
    ]

    played = Played(*played_traces)

    assert played.statuses() == [0] * len(played_traces)
    for index, steps in enumerate(played_traces):
        assert len(played.seen(index)) == len(steps)
        agrees(played, steps, index)


def test_without_names_the_kernel_refuses_each(names: bool) -> None:
    if names:
        pytest.skip("this kernel has names")
    steps = steps_of(
        Map(0, 4, 3), SetName(0, PAGE, "a"), SetName(0, PAGE, Pointer.NULL),
        SetName(0, PAGE, Pointer.BAD), SetName(0, PAGE, "edge", edge=True),
        SetName(0, PAGE, "a", attr=1),
    )  # fmt: skip

    assert [code for code, _ in Played(steps).seen()] == [0, 22, 22, 22, 22, 22]


NEVER_SET = """
def refuse(*_):
    raise PermissionError(9, "never set")
MapCountLimit._set = refuse
"""


def test_a_limit_that_cannot_be_set_is_no_answer_of_the_kernel() -> None:
    steps = steps_of(Map(0, 4, 3), Limit(5), Protect(1, 1, 1))

    played = Played(steps, spoil=NEVER_SET)

    assert played.statuses() == [1]
    assert 9 not in [code for code, _ in played.seen()]
    assert "never set" in played.words


DIES = """
import harness.worker.executor.process as process
usual = process.call
def call(op, context):
    if type(op).__name__ == "Unmap":
        {how}
    usual(op, context)
process.call = call
"""


@pytest.mark.parametrize(
    ("how", "status"), [("os.kill(os.getpid(), 9)", -9), ("raise RuntimeError", 1)]
)
def test_a_first_process_that_dies_gives_the_trace_a_status(
    how: str, status: int
) -> None:
    spoilt = steps_of(Map(0, 4, 3), Unmap(0, 1), Map(0, 4, 3))
    whole = steps_of(Map(0, 4, 3))

    played = Played(spoilt, whole, spoil=DIES.format(how=how))

    assert played.statuses() == [status, 0]
    agrees(played, whole, 1)


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ([], [], (0, 0, [])),
        ([], [b"a"], (0, 0, ["a"])),
        ([b"a"], [], (0, 0, [])),
        ([b"a", b"b"], [b"a", b"b"], (2, 0, [])),
        ([b"a", b"c"], [b"a", b"b", b"c"], (1, 1, ["b"])),
        ([b"a", b"b", b"c"], [b"a", b"c"], (1, 1, [])),
        ([b"a", b"a"], [b"a"], (1, 0, [])),
        ([b"a"], [b"a", b"a"], (1, 0, ["a"])),
        ([b"a"], [b"\xff"], (0, 0, ["\xff"])),
    ],
)
def test_a_change_is_what_lies_between_what_stays(
    old: list[bytes], new: list[bytes], change: tuple[int, int, list[str]]
) -> None:
    assert _change(old, new) == change
