"""The executor: plays the traces of a job in order, each in new processes.

Runs next to the kernel as ``python3 -m harness.worker.executor.executor JOB FD``,
with the standard library only. It writes lines of JSON to FD: a description of the
kernel, the results of each trace (see ``process``), {"trace": N, "died": status} if
process 0 of a trace ended with an error, and at the end {"done": traces}.
"""

import mmap
import os
import platform
import sys
import tempfile
import time
from typing import Any

from harness.errors import EnvironmentFault, HarnessError
from harness.linux import bound_fork, probe_anon_name, read_sysctl, settings_put_back
from harness.linux.started import keep_ended_children, read_job, say
from harness.worker.executor.arena_address import ArenaAddress, find_arena_address
from harness.worker.executor.calls import make_call_context
from harness.worker.executor.executor_job import ExecutorJob, parse_executor_job
from harness.worker.executor.limit import MAX_MAP_COUNT, MapCountLimit
from harness.worker.executor.probes import probe_behaviour
from harness.worker.executor.process import SharedState, run_process_0, write_line
from harness.workload.ops import FILE_PAGES, PAGE, WORDS, Heap, Limit


def describe_kernel(arena: ArenaAddress) -> dict[str, Any]:
    """The running kernel: version, support of names, Behaviour; the arena's address."""
    probe = probe_anon_name()
    return {
        "support": probe.support.value,
        "reason": probe.reason,
        "release": platform.release(),
        "version": platform.version(),
        "machine": platform.machine(),
        "behaviour": probe_behaviour(arena)
        if probe.support.value == "supported"
        else {},
        "start": arena.start,
    }


def check_allowed(job: ExecutorJob, *, limits: bool, heaps: bool) -> None:
    """Raise EnvironmentFault if this process lacks the rights for a step of the job.

    Otherwise a refusal for lack of rights would look like the kernel's answer.
    """
    kinds = {type(step.op) for steps in job.traces for step in steps}
    for kind, allowed, what in (
        (Limit, limits, f"change {MAX_MAP_COUNT}"),
        (Heap, heaps, "move the heap (CAP_SYS_RESOURCE)"),
    ):
        if kind in kinds and not allowed:
            raise EnvironmentFault(
                f"a trace has the step {WORDS[kind]}, but this process may not {what}: "
                f"run it as root, or without the theme {WORDS[kind]}"
            )


def play(job: ExecutorJob, out: int) -> None:
    """Play every trace of a job and write the results to descriptor ``out``.

    Some traces change vm.max_map_count; it is put back however this ends.
    """
    limits = any(isinstance(step.op, Limit) for steps in job.traces for step in steps)
    if not limits or os.geteuid():
        _play(job, out)
        return
    with settings_put_back({MAX_MAP_COUNT: read_sysctl(MAX_MAP_COUNT)}, None):
        _play(job, out)


def _play(job: ExecutorJob, out: int) -> None:
    arena = find_arena_address()
    kernel = describe_kernel(arena)
    with tempfile.NamedTemporaryFile(prefix="harness-") as file:
        file.truncate(FILE_PAGES * PAGE)
        kernel["file"] = file.name
        write_line(out, {"kernel": kernel})
        if kernel["support"] != "supported":
            return
        limit = MapCountLimit()
        # Two probes move the heap; None: this process has no right to.
        heaps = kernel["behaviour"].get("heap_strict") is not None
        check_allowed(job, limits=limit.allowed, heaps=heaps)
        context = make_call_context(file.fileno(), arena)
        scratch = os.memfd_create("scratch")
        kmsg = _open_kmsg()
        pids = memoryview(mmap.mmap(-1, PAGE)).cast("q")
        started = time.monotonic()
        for index, steps in enumerate(job.traces):
            shared = SharedState(
                index, steps, job.at_end, out, kmsg, limit, context, scratch, pids
            )
            status = _play_in_child(shared)
            shared.close()
            if status:
                write_line(out, {"trace": index, "died": status})
        seconds = time.monotonic() - started
    write_line(out, {"done": len(job.traces), "seconds": round(seconds, 3)})


def _play_in_child(shared: SharedState) -> int:
    pid = bound_fork()
    if pid == 0:
        run_process_0(shared)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _open_kmsg() -> int | None:
    try:
        kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    os.lseek(kmsg, 0, os.SEEK_END)
    return kmsg


def main(arguments: list[str]) -> int:
    """Play the job in a file; the exit status is 0, or that of the HarnessError."""
    keep_ended_children()
    try:
        job, out = read_job(arguments)
        play(parse_executor_job(job), out)
    except HarnessError as error:
        say(f"executor: {error}")
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
