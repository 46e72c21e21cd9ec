"""What all guests have in common: each boot runs one job, and the end is checked.

A subclass defines how its guest is launched. The input, the output and the errors are
the same for all guests.
"""

import contextlib
import marshal
import os
import socket
import subprocess
import tempfile
import termios
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import JobFailed, RecordError
from harness.host.paths import package_dir
from harness.host.programs import MOST_PROCESSES, leashed, printable, tail_of
from harness.targets.bundle import Bundle, bundle_of
from harness.targets.channel import (
    MONITOR,
    OUTPUT,
    RECORDS,
    Deadlines,
    Listener,
    RecordLines,
    ended_without_status,
    port,
)
from harness.worker.measure import Conditions, Job, Record, Status, render_job
from harness.worker.measure.facts import KernelFacts, parse_facts

COMMAND_MIB = 1024
# The file of a worker's job. A guest that has it runs a worker.
JOB = "job.json"
WORKER = "harness.worker.measure.worker"
# A marshal format that every Python 3 reads.
_MARSHAL = 2
# mm/oom_kill.c __oom_kill_process()
_OUT_OF_MEMORY = ": Killed process "
# The output is some hundred bytes, or a Python traceback.
_MOST_FACTS = 1 << 20

# The guest itself needs this much: kernel, root in memory, Python.
_GUEST_MIB = 512
# In the parent and in the child, a VMA takes its struct, its lock, its name and its
# part of the tree; in addition, the text of maps and Python's objects take memory.
_VMA_BYTES = 2 * 512 + 1024
# A written page is in memory once, and has a page table entry in both processes.
_PAGE_BYTES = 4096 + 2 * 16

# The same job must get the same heap in every run, so the hash seed of the interpreter
# is fixed. The kernel passes these words to the environment of init, whose interpreter
# is also the worker's.
INIT_ENV = ("PYTHONHASHSEED=0", "LANG=C.UTF-8")
_ENV = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LANG": "C.UTF-8",
    "TERM": os.environ.get("TERM", "linux"),
}


def workers_bundle() -> Bundle:
    """Init and the worker as bytecode, for every guest."""
    return bundle_of(WORKER, beside=(package_dir() / "worker/guest_init.py",))


def memory_mib(job: Job) -> int:
    """Guest memory in MiB that is enough for each cell of a job."""
    most = max(
        layout.vmas * (_VMA_BYTES + layout.written_pages * _PAGE_BYTES)
        for layout in (planned.cell.layout for planned in job.cells)
    )
    return _GUEST_MIB + (most >> 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class InitSettings:
    """The settings of init that do not depend on the job; see guest_init.py.

    ``python`` is a command that starts an interpreter that finds the package. ``job``
    is the folder with the files of the job, after init has mounted everything.
    """

    ports: str
    end: str
    env: Mapping[str, str]
    cwd: str
    python: tuple[str, ...]
    job: str
    share: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command that boots a guest, and the descriptors that it needs.

    ``stdout`` is None if the command itself writes the console to its file.
    """

    argv: Sequence[str]
    pass_fds: tuple[int, ...]
    stdout: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestTarget(ABC):
    """Boots a kernel for each job. The guests end with this process at the latest.

    When ``stop`` is set, a running guest is ended and Stopped is raised.
    """

    kernel: Path
    deadlines: Deadlines = field(default_factory=Deadlines)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    @abstractmethod
    def conditions(self) -> Conditions:
        """The conditions under which it measures."""

    @property
    @abstractmethod
    def _init_settings(self) -> InitSettings:
        """The settings of its init."""

    @abstractmethod
    def _launch(
        self,
        files: Mapping[str, bytes],
        *,
        mib: int,
        ports: Mapping[str, int],
        console: Path,
        interactive: bool,
    ) -> contextlib.AbstractContextManager[Launch]:
        """The command that boots the guest; what it needs exists within the context.

        ``ports`` has the socket of each port. The guest's console is written to the
        file ``console`` and, if ``interactive``, also to this terminal.
        """

    def check_job(self, job: Job) -> None:  # noqa: B027 (most can run all)
        """Raise EnvironmentFault if this machine cannot run the job."""

    def run_job(
        self, job: Job, on_record: Callable[[Record], None], console: Path
    ) -> None:
        """Run a worker's job; ``on_record`` gets each record when it arrives.

        The guest's console is written to ``console``. Raises GuestError's subclasses;
        JobFailed if the worker's status is not 0.
        """
        self.check_job(job)
        ours = self._files([self.path_in_guest(JOB)], RECORDS, worker=WORKER)
        files = {**ours, JOB: render_job(job)}
        mib = memory_mib(job)
        status = self._boot(files, mib, on_record, None, console)
        if status.code:
            how = (
                f"signal {-status.code}"
                if status.code < 0
                else f"exit status {status.code}"
            )
            shown = tail_of(console)
            if _OUT_OF_MEMORY in shown:
                how += f": the guest's {mib} MiB of memory were not enough"
            raise JobFailed(f"the worker ended with {how}", shown)

    def run_command(
        self,
        argv: Sequence[str],
        on_output: Callable[[bytes], None],
        console: Path,
        *,
        mib: int = COMMAND_MIB,
        files: Mapping[str, bytes] | None = None,
    ) -> int:
        """Run one command and return its exit status; ``on_output`` gets its output.

        ``files`` are put into the guest as executables; ``path_in_guest`` returns
        their paths. The status is 128 + N if signal N ended the command. Raises
        GuestError's subclasses.
        """
        ours = self._files(argv, OUTPUT)
        assert files is None or not ours.keys() & files.keys()
        files = {**ours, **(files or {})}
        status = self._boot(files, mib, lambda _: None, on_output, console)
        return 128 - status.code if status.code < 0 else status.code

    def path_in_guest(self, name: str) -> str:
        """The path in the guest of a file that was given to ``run_command``."""
        return f"{self._init_settings.job}/{name}"

    def run_executor(
        self, job: bytes, on_output: Callable[[bytes], None], console: Path
    ) -> int:
        """Play traces and return the executor's status; ``on_output`` gets its output.

        Raises GuestError's subclasses.
        """
        argv = [
            *self._init_settings.python, "-m", "harness.worker.executor.executor",
            self.path_in_guest("play.json"), "1",
        ]  # fmt: skip
        return self.run_command(argv, on_output, console, files={"play.json": job})

    def ask_facts(self, console: Path) -> KernelFacts:
        """Boot the kernel once and read its facts. Raises GuestError's subclasses."""
        output = bytearray()

        def keep(chunk: bytes) -> None:
            output.extend(chunk)
            if len(output) > _MOST_FACTS:
                raise JobFailed(f"facts have at most {_MOST_FACTS} bytes", "")

        argv = [*self._init_settings.python, "-m", "harness.worker.measure.facts", "1"]
        code = self.run_command(argv, keep, console)
        line = bytes(output).rpartition(b"\n")[0].rpartition(b"\n")[2]
        try:
            return parse_facts(line)
        except RecordError:
            words = printable(output.decode(errors="replace"))
            raise JobFailed(
                f"the guest did not report its facts: status {code}", words
            ) from None

    def run_shell(self, console: Path, *, mib: int = COMMAND_MIB) -> int:
        """Run a shell in the guest on this terminal, and return its status.

        ``console`` gets a copy of the output, if the target can make one.
        """
        files = self._files(["/bin/sh"], "console")
        with contextlib.ExitStack() as stack:
            ours, theirs = stack.enter_context(port())
            launch = stack.enter_context(
                self._launch(
                    files, mib=mib, ports={RECORDS: theirs.fileno()},
                    console=console, interactive=True,
                )
            )  # fmt: skip
            stack.enter_context(_terminal_restored())
            # It must run in the terminal's foreground, so ``leashed`` is not used.
            subprocess.run(
                ["setpriv", "--pdeathsig", "KILL", "--", *launch.argv],
                pass_fds=launch.pass_fds,
                check=False,
            )
            theirs.close()
            lines = RecordLines(lambda _: None, console)
            while chunk := ours.recv(1 << 16):
                lines.feed(chunk)
        if lines.status is None:
            raise ended_without_status(console)
        return lines.status.code

    def _files(
        self, argv: Sequence[str], stdout: str, *, worker: str | None = None
    ) -> dict[str, bytes]:
        settings = self._init_settings
        # Only the guests with serial ports (UML) need entropy. In the others it would
        # be one more thing that differs from boot to boot.
        entropy = os.urandom(32) if settings.ports == "serial" else b""
        folder = package_dir() / "worker"
        job = {
            "argv": list(argv), "worker": worker, "stdout": stdout,
            "entropy": entropy.hex(), "ports": settings.ports, "end": settings.end,
            "env": {**_ENV, **settings.env}, "cwd": settings.cwd,
            "share": list(settings.share),
        }  # fmt: skip
        return {
            "init": (folder / "guest_start.py").read_bytes(),
            "guest_init.py": (folder / "guest_init.py").read_bytes(),
            "bundle": workers_bundle().packed,
            "init.job": marshal.dumps(job, _MARSHAL),
        }

    def _boot(
        self,
        files: Mapping[str, bytes],
        mib: int,
        on_record: Callable[[Record], None],
        on_output: Callable[[bytes], None] | None,
        console: Path,
        on_monitor: Callable[[socket.socket], None] | None = None,
    ) -> Status:
        console.unlink(missing_ok=True)
        with contextlib.ExitStack() as stack:
            names = [RECORDS]
            if on_output is not None:
                names.append(OUTPUT)
            if on_monitor is not None:
                names.append(MONITOR)
            pairs = {name: stack.enter_context(port()) for name in names}
            launch = stack.enter_context(
                self._launch(
                    files,
                    mib=mib,
                    ports={name: pair[1].fileno() for name, pair in pairs.items()},
                    console=console,
                    interactive=False,
                )
            )
            errors = stack.enter_context(tempfile.TemporaryFile())
            stack.enter_context(
                leashed(
                    launch.argv, stdout=launch.stdout, stderr=errors.fileno(),
                    pass_fds=launch.pass_fds, processes=MOST_PROCESSES,
                )
            )  # fmt: skip
            for _, theirs in pairs.values():
                theirs.close()
            if on_monitor is not None:
                on_monitor(pairs.pop(MONITOR)[0])
            status = Listener(
                on_record=on_record,
                on_output=on_output or (lambda _: None),
                deadlines=self.deadlines,
                console=console,
                stop=self.stop,
            ).listen({name: ours for name, (ours, _) in pairs.items()})
            if status is None:
                errors.seek(0)
                words = printable(errors.read(2000).decode(errors="replace").strip())
                raise ended_without_status(console, runner_output=words)
            return status


@contextlib.contextmanager
def _terminal_restored() -> Iterator[None]:
    before = termios.tcgetattr(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
