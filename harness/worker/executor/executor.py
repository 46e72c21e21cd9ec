"""The player: every trace by processes of its own, in order.

Runs next to the kernel as ``python3 -m harness.worker.executor.executor JOB FD``,
with the standard library only. It writes lines of JSON to FD: what the kernel is, what
each trace saw (see ``process``), {"trace": N, "died": status} where a process of
a trace did not come to its end, and {"done": traces}.
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
from harness.worker.executor.arena_address import Place, find_place
from harness.worker.executor.calls import make_means
from harness.worker.executor.executor_job import ExecutorJob, parse_executor_job
from harness.worker.executor.limit import MAX_MAP_COUNT, MapCountLimit
from harness.worker.executor.probes import probe_behaviour
from harness.worker.executor.process import Processes, begin, write_line
from harness.workload.ops import FILE_PAGES, PAGE, WORDS, Heap, Limit


def describe_kernel(place: Place) -> dict[str, Any]:
    """What the running kernel is, and what it does where kernels differ."""
    probe = probe_anon_name()
    return {
        "support": probe.support.value,
        "reason": probe.reason,
        "release": platform.release(),
        "version": platform.version(),
        "machine": platform.machine(),
        "behaviour": probe_behaviour(place)
        if probe.support.value == "supported"
        else {},
        "start": place.start,
    }


def check_allowed(job: ExecutorJob, *, limits: bool, heaps: bool) -> None:
    """Raise EnvironmentFault for a job with steps that this process may not do.

    What it is refused would be taken for what the kernel answers.
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
    """Play every trace of a job; what is seen goes to descriptor ``out``.

    The limit of VMAs, which some traces hold, is what it was after any end.
    """
    limits = any(isinstance(step.op, Limit) for steps in job.traces for step in steps)
    if not limits or os.geteuid():
        _play(job, out)
        return
    with settings_put_back({MAX_MAP_COUNT: read_sysctl(MAX_MAP_COUNT)}, None):
        _play(job, out)


def _play(job: ExecutorJob, out: int) -> None:
    place = find_place()
    kernel = describe_kernel(place)
    with tempfile.NamedTemporaryFile(prefix="harness-") as file:
        file.truncate(FILE_PAGES * PAGE)
        kernel["file"] = file.name
        write_line(out, {"kernel": kernel})
        if kernel["support"] != "supported":
            return
        limit = MapCountLimit()
        # Two probes move it: None is that they may not.
        heaps = kernel["behaviour"].get("heap_strict") is not None
        check_allowed(job, limits=limit.allowed, heaps=heaps)
        means = make_means(file.fileno(), place)
        scratch = os.memfd_create("scratch")
        kmsg = _open_kmsg()
        pids = memoryview(mmap.mmap(-1, PAGE)).cast("q")
        started = time.monotonic()
        for index, steps in enumerate(job.traces):
            cast = Processes(
                index, steps, job.at_end, out, kmsg, limit, means, scratch, pids
            )
            status = _play_apart(cast)
            cast.close()
            if status:
                write_line(out, {"trace": index, "died": status})
        seconds = time.monotonic() - started
    write_line(out, {"done": len(job.traces), "seconds": round(seconds, 3)})


def _play_apart(cast: Processes) -> int:
    pid = bound_fork()
    if pid == 0:
        begin(cast)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _open_kmsg() -> int | None:
    try:
        kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    os.lseek(kmsg, 0, os.SEEK_END)
    return kmsg


def main(arguments: list[str]) -> int:
    """Play the job of a file; the exit status is 0 done, else as HarnessError's."""
    keep_ended_children()
    try:
        job, out = read_job(arguments)
        play(parse_executor_job(job), out)
    except HarnessError as error:
        say(f"player: {error}")
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
