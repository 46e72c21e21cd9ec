"""Runs workers on the running kernel, as child processes, on this machine's clock."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import GuestHung, GuestLost, JobFailed, RecordError
from harness.host.paths import package_dir
from harness.host.programs import MOST_PROCESSES, leashed, printable, tail_of
from harness.host.scratch import scratch_folder
from harness.targets.channel import OUTPUT, RECORDS, Deadlines, Listener
from harness.worker.measure import Conditions, Job, Record, render_job
from harness.worker.measure.facts import KernelFacts, parse_facts

# Reading the facts takes a second, or a few under emulation.
_FACTS_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTarget:
    """Runs workers on the kernel that runs this process.

    ``conditions`` come from the kernel's facts: time on silicon, or instructions in a
    guest that counts them.
    """

    conditions: Conditions
    deadlines: Deadlines = field(default_factory=Deadlines)
    stop: threading.Event = field(default_factory=threading.Event)

    def run_job(
        self, job: Job, on_record: Callable[[Record], None], console: Path
    ) -> None:
        """Run a worker's job; ``on_record`` gets each record when it arrives.

        The worker's other output is written to ``console``. Raises GuestHung,
        BadRecord, and JobFailed if the worker's status is not 0.
        """
        with scratch_folder() as scratch:
            path = scratch / "job.json"
            path.write_bytes(render_job(job))
            code = self._run(
                "worker.measure.worker",
                path,
                console,
                RECORDS,
                on_record,
                lambda _: None,
            )
        if code:
            raise JobFailed(
                f"the worker ended with exit status {code}", tail_of(console)
            )

    def run_executor(
        self, job: bytes, on_output: Callable[[bytes], None], console: Path
    ) -> int:
        """Play traces and return the executor's status; ``on_output`` gets its output.

        Raises GuestHung.
        """
        with scratch_folder() as scratch:
            path = scratch / "play.json"
            path.write_bytes(job)
            return self._run(
                "worker.executor.executor",
                path,
                console,
                OUTPUT,
                lambda _: None,
                on_output,
            )

    def _run(
        self,
        module: str,
        job: Path,
        console: Path,
        port: str,
        on_record: Callable[[Record], None],
        on_output: Callable[[bytes], None],
    ) -> int:
        with contextlib.ExitStack() as stack:
            # A pipe, because small kernels have no sockets.
            reading, writing = os.pipe()
            ours = stack.enter_context(open(reading, "rb", buffering=0))
            theirs = stack.enter_context(open(writing, "wb", buffering=0))
            log = stack.enter_context(open(console, "wb"))
            process = stack.enter_context(
                leashed(
                    [*_python(module), str(job), str(theirs.fileno())],
                    stdout=log.fileno(), stderr=log.fileno(),
                    pass_fds=(theirs.fileno(),), env=_environment(job.parent),
                    processes=MOST_PROCESSES,
                )
            )  # fmt: skip
            theirs.close()
            Listener(
                on_record=on_record,
                on_output=on_output,
                deadlines=self.deadlines,
                console=console,
                stop=self.stop,
            ).listen({port: ours})
            return process.wait()


def host_facts() -> KernelFacts:
    """The facts of the running kernel, which a process of its own reads.

    Raises GuestHung if it misses its deadline, GuestLost if its output is not facts.
    """
    code = None
    with tempfile.TemporaryFile() as out:
        with (
            leashed(
                [*_python("worker.measure.facts"), str(out.fileno())],
                pass_fds=(out.fileno(),), env=_environment(), processes=MOST_PROCESSES,
            ) as process,
            contextlib.suppress(subprocess.TimeoutExpired),
        ):  # fmt: skip
            code = process.wait(timeout=_FACTS_S)
        out.seek(0)
        line = out.read()
    if code is None:
        raise GuestHung(
            f"the process that reads this kernel's facts did not finish within "
            f"{_FACTS_S:g} s and was killed",
            printable(line.decode(errors="replace")),
        )
    try:
        return parse_facts(line)
    except RecordError:
        words = printable(line.decode(errors="replace"))
        raise GuestLost(
            f"the process that reads this kernel's facts failed: status {code}", words
        ) from None


def _python(module: str) -> list[str]:
    # -S: start without site, so that what an environment adds is not measured.
    return [
        os.path.realpath(sys.executable), "-S", "-m", f"harness.{module}",
    ]  # fmt: skip


def _environment(scratch: Path | None = None) -> dict[str, str]:
    return {
        # A killed process leaves its temporary files in the job's folder, which is
        # removed later.
        **({} if scratch is None else {"TMPDIR": str(scratch)}),
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(package_dir().parent),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
    }
