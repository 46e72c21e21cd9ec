"""Guests of User-Mode Linux: the kernel is a process, at the speed of this machine.

The guest's root is the host's file system, through hostfs, so it has the Python and
the packages of this environment. Outside the guest, bubblewrap mounts the file system
read-only. So if root in the guest remounts it writable, this changes only a flag in
the guest: the host still refuses writes with EROFS.
"""

import contextlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import EnvironmentFault, UnsupportedError
from harness.host.paths import package_dir
from harness.host.scratch import scratch_folder
from harness.linux import read_sysctl
from harness.targets.bytecode import compile_in_place
from harness.targets.guest import INIT_ENV, GuestTarget, InitSettings, Launch
from harness.targets.rootfs import guest_modules
from harness.targets.seats import one_cpu
from harness.worker.measure import Conditions, Job
from harness.worker.measure.conditions import SILICON_GUEST
from harness.worker.measure.settings import MAX_MAP_COUNT

# The folder in which the guest finds its job. On the host it is mounted in a private
# /dev.
_JOB = "/dev/shm/job"

_CONDITIONS = replace(SILICON_GUEST, target="uml", accelerator="native")

# Descriptors of UML's serial lines, as guest_init.py knows them.
_LINES = {"records": "ssl0", "output": "ssl1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UmlTarget(GuestTarget):
    """Guests of User-Mode Linux; on x86-64 only.

    ``share`` has the folders of the host that the guest may write to. It can write to
    no others.
    """

    share: tuple[Path, ...] = ()

    @property
    def conditions(self) -> Conditions:
        """Nanoseconds on this machine."""
        return _CONDITIONS

    @property
    def _init_settings(self) -> InitSettings:
        python = os.path.realpath(sys.executable)
        return InitSettings(
            ports="serial",
            end="poweroff",
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:"
                "/usr/sbin:/sbin",
                "PYTHONPATH": str(package_dir().parent),
            },
            cwd=str(Path.cwd()),
            # -S: start without site, so that what an environment adds is not measured.
            python=(python, "-S"),
            job="/run/job",
            share=tuple(str(path.resolve()) for path in self.share),
        )

    def check_job(self, job: Job) -> None:
        """Raise EnvironmentFault if the host allows too few mappings.

        Each written page of a guest is a mapping on the host.
        """
        pages = max(c.cell.layout.vmas * c.cell.layout.written_pages for c in job.cells)
        limit = int(read_sysctl(MAX_MAP_COUNT))
        if pages + 5_000 > limit:
            raise EnvironmentFault(
                f"a guest of User-Mode Linux that writes {pages} pages needs as many "
                f"mappings on this machine, but {MAX_MAP_COUNT} is {limit}; as root: "
                f"sysctl {MAX_MAP_COUNT}={pages + 5_000}; or measure written pages "
                "with --target qemu, because in User-Mode Linux they are not "
                "representative"
            )

    @contextlib.contextmanager
    def _launch(
        self,
        files: Mapping[str, bytes],
        *,
        mib: int,
        ports: Mapping[str, int],
        console: Path,
        interactive: bool,
    ) -> Iterator[Launch]:
        _check_host()
        for source in guest_modules():
            compile_in_place(source)
        with contextlib.ExitStack() as stack:
            job = stack.enter_context(scratch_folder()) / "job"
            job.mkdir()
            for name, content in files.items():
                (job / name).write_bytes(content)
                (job / name).chmod(0o755)
            stdout = None
            if not interactive:
                stdout = stack.enter_context(open(console, "wb")).fileno()
            yield Launch(
                argv=[
                    *self._confined(job, cpu=stack.enter_context(one_cpu())),
                    *self._linux(mib=mib, ports=ports, interactive=interactive),
                ],
                pass_fds=tuple(ports.values()),
                stdout=stdout,
            )

    def _confined(self, job: Path, *, cpu: int) -> list[str]:
        writable = [
            word
            for path in self.share
            for word in ("--bind", str(path.resolve()), str(path.resolve()))
        ]
        return [
            "bwrap", "--unshare-all", "--die-with-parent",
            "--ro-bind", "/", "/",
            # Some files of root in /proc, such as sysctls, check only the owner. So
            # make /proc read-only.
            "--proc", "/proc", "--remount-ro", "/proc",
            "--dev", "/dev",
            # The guest's memory is a file in this folder.
            "--tmpfs", "/dev/shm",
            "--ro-bind", str(job), _JOB,
            *writable,
            "--setenv", "TMPDIR", "/dev/shm",
            "--chdir", "/",
            # A kernel that panics aborts. Without core=0 it would dump the guest's
            # memory.
            "--", "prlimit", "--core=0", "taskset", "--cpu-list", str(cpu),
        ]  # fmt: skip

    def _linux(
        self, *, mib: int, ports: Mapping[str, int], interactive: bool
    ) -> list[str]:
        return [
            str(self.kernel), f"mem={mib}M",
            "root=hostfs", "rootfstype=hostfs", "ro", "uml_dir=/dev/shm/",
            "con=null", f"con0={'fd:0' if interactive else 'null'},fd:1",
            "ssl=null", *(f"{_LINES[name]}=fd:{fd}" for name, fd in ports.items()),
            "panic=-1", "quiet", *INIT_ENV,
            f"init={os.path.realpath(sys.executable)}", "--", "-S", f"{_JOB}/init",
        ]  # fmt: skip


def _check_host() -> None:
    if platform.machine() != "x86_64":
        raise UnsupportedError(
            "User-Mode Linux runs on x86-64 only; use --target qemu or --target host"
        )
    for program, package in (
        ("bwrap", "bubblewrap"),
        ("prlimit", "util-linux"),
        ("taskset", "util-linux"),
    ):
        if shutil.which(program) is None:
            raise EnvironmentFault(
                f"{program} is missing; as root: apt-get install {package}"
            )
