"""What all guests have in common: one job a boot, and how its end is told.

A target of this kind says how its guest is launched; what goes in, what comes
out and which error an end is, is the same for all.
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
# A worker's job, by which its guest is known.
JOB = "job.json"
WORKER = "harness.worker.measure.worker"
# What every Python 3 reads.
_MARSHAL = 2
# mm/oom_kill.c __oom_kill_process()
_OUT_OF_MEMORY = ": Killed process "
# Some hundred bytes, or what Python says when it fails.
_MOST_FACTS = 1 << 20

# What the guest needs for itself: kernel, root in memory, Python.
_GUEST_MIB = 512
# A VMA of a process costs its struct, its lock, its name and its share of the
# tree, in the parent and in the child; then what maps and Python hold of it.
_VMA_BYTES = 2 * 512 + 1024
# A written page is held once, and has a page table entry in both processes.
_PAGE_BYTES = 4096 + 2 * 16

# One heap for one job: no seed of the interpreter's may differ between runs. The
# kernel hands such words on to init, whose interpreter is the worker's.
INIT_ENV = ("PYTHONHASHSEED=0", "LANG=C.UTF-8")
_ENV = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LANG": "C.UTF-8",
    "TERM": os.environ.get("TERM", "linux"),
}


def workers_bundle() -> Bundle:
    """Init and the worker, as every guest gets them."""
    return bundle_of(WORKER, beside=(package_dir() / "worker/guest_init.py",))


def memory_mib(job: Job) -> int:
    """Guest memory that every cell of a job fits in, in MiB."""
    most = max(
        layout.vmas * (_VMA_BYTES + layout.written_pages * _PAGE_BYTES)
        for layout in (planned.cell.layout for planned in job.cells)
    )
    return _GUEST_MIB + (most >> 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class InitWords:
    """What init is told that does not depend on the job; see guest_init.py.

    ``python`` starts an interpreter that finds the package; ``job`` is where the
    files of the job are once init has mounted all.
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

    Without ``stdout`` its own goes where the console is kept by other means.
    """

    argv: Sequence[str]
    pass_fds: tuple[int, ...]
    stdout: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestTarget(ABC):
    """Boots a kernel for each job; its guests end with this process.

    When ``stop`` is set a guest that is running is ended, with Stopped.
    """

    kernel: Path
    deadlines: Deadlines = field(default_factory=Deadlines)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    @abstractmethod
    def conditions(self) -> Conditions:
        """How it measures."""

    @property
    @abstractmethod
    def _words(self) -> InitWords:
        """What its init is told."""

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
        """The command, for as long as what it needs is there.

        ``ports`` gives each port's socket; ``console`` is where the guest's
        console is kept, ``interactive`` whether it is this terminal too.
        """

    def check_job(self, job: Job) -> None:  # noqa: B027 (most can run all)
        """Raise EnvironmentFault for a job that this machine cannot run."""

    def run_job(
        self, job: Job, on_record: Callable[[Record], None], console: Path
    ) -> None:
        """Run a worker's job; every record goes to ``on_record`` as it comes.

        The guest's console is kept in ``console``. Raises GuestError's
        subclasses; JobFailed when the worker's status is not 0.
        """
        self.check_job(job)
        words = self._words
        ours = self._files([f"{words.job}/{JOB}"], RECORDS, worker=WORKER)
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
        """Run one command; its output goes to ``on_output``. Its exit status.

        ``files`` go into the guest, where ``place_of`` says, and can be run. The
        status is 128 + N when signal N ended it. Raises GuestError's subclasses.
        """
        ours = self._files(argv, OUTPUT)
        assert files is None or not ours.keys() & files.keys()
        files = {**ours, **(files or {})}
        status = self._boot(files, mib, lambda _: None, on_output, console)
        return 128 - status.code if status.code < 0 else status.code

    def place_of(self, name: str) -> str:
        """Where a file that ``run_command`` brings is in the guest."""
        return f"{self._words.job}/{name}"

    def run_executor(
        self, job: bytes, on_output: Callable[[bytes], None], console: Path
    ) -> int:
        """Play traces: what the player writes goes to ``on_output``. Its status.

        Raises GuestError's subclasses.
        """
        argv = [
            *self._words.python, "-m", "harness.worker.executor.executor",
            self.place_of("play.json"), "1",
        ]  # fmt: skip
        return self.run_command(argv, on_output, console, files={"play.json": job})

    def ask_facts(self, console: Path) -> KernelFacts:
        """Boot the kernel once and ask what it is. Raises GuestError's subclasses."""
        output = bytearray()

        def keep(chunk: bytes) -> None:
            output.extend(chunk)
            if len(output) > _MOST_FACTS:
                raise JobFailed(f"facts are no more than {_MOST_FACTS} bytes", "")

        argv = [*self._words.python, "-m", "harness.worker.measure.facts", "1"]
        code = self.run_command(argv, keep, console)
        line = bytes(output).rpartition(b"\n")[0].rpartition(b"\n")[2]
        try:
            return parse_facts(line)
        except RecordError:
            words = printable(output.decode(errors="replace"))
            raise JobFailed(
                f"the guest could not be asked what it is: status {code}", words
            ) from None

    def run_shell(self, console: Path, *, mib: int = COMMAND_MIB) -> int:
        """Give this terminal to a shell in the guest until it ends: its status.

        ``console`` gets a copy of what was shown, where the target can make one.
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
            # In the terminal's foreground, so not under the leash.
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
        words = self._words
        # Elsewhere it would be something that differs from boot to boot.
        entropy = os.urandom(32) if words.ports == "serial" else b""
        room = package_dir() / "worker"
        job = {
            "argv": list(argv), "worker": worker, "stdout": stdout,
            "entropy": entropy.hex(), "ports": words.ports, "end": words.end,
            "env": {**_ENV, **words.env}, "cwd": words.cwd, "share": list(words.share),
        }  # fmt: skip
        return {
            "init": (room / "guest_start.py").read_bytes(),
            "guest_init.py": (room / "guest_init.py").read_bytes(),
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
            said = stack.enter_context(tempfile.TemporaryFile())
            stack.enter_context(
                leashed(
                    launch.argv, stdout=launch.stdout, stderr=said.fileno(),
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
                said.seek(0)
                words = printable(said.read(2000).decode(errors="replace").strip())
                raise ended_without_status(console, runner_said=words)
            return status


@contextlib.contextmanager
def _terminal_restored() -> Iterator[None]:
    before = termios.tcgetattr(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
