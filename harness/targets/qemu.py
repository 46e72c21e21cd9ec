"""Guests under QEMU, which counts instructions, or runs on silicon if KVM works.

With ``-icount shift=0,sleep=off``, one instruction takes one nanosecond of the
guest's clock, and idle time is skipped. So the results do not depend on the load of
the host. It works with one processor only, and without KVM.
"""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from harness.arch import Arch
from harness.errors import JobFailed
from harness.host.programs import tail_of
from harness.targets.channel import MONITOR, OUTPUT
from harness.targets.guest import (
    INIT_ENV,
    JOB,
    GuestTarget,
    InitSettings,
    Launch,
    workers_bundle,
)
from harness.targets.rootfs import (
    PROJECT,
    guest_root,
    harness_archive,
    job_archive,
    worker_root,
)
from harness.worker.measure import Conditions
from harness.worker.measure.conditions import EMULATED, ICOUNT, SILICON_GUEST


class Accelerator(Enum):
    """What runs a guest's code; it determines what the guest's clock counts."""

    ICOUNT = "icount"
    KVM = "kvm"
    TCG = "tcg"


_CONDITIONS = {
    Accelerator.ICOUNT: ICOUNT,
    Accelerator.KVM: SILICON_GUEST,
    Accelerator.TCG: EMULATED,
}

_ACCEL_OPTIONS = {
    Accelerator.ICOUNT: ("-accel", "tcg", "-icount", "shift=0,sleep=off"),
    Accelerator.KVM: ("-accel", "kvm"),
    Accelerator.TCG: ("-accel", "tcg"),
}

# An idle guest collects no entropy, but Python needs some to start.
_APPEND = (
    "rdinit=/job/init panic=-1 quiet random.trust_bootloader=on random.trust_cpu=on"
)

_INIT_SETTINGS = InitSettings(
    ports="virtio",
    end="reboot",
    env={
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONHOME": "/usr",
        "PYTHONPATH": "/harness",
    },
    cwd="/run/tmp",
    python=("/usr/bin/python3",),
    job="/run/job",
)


def qemu_argv(
    arch: Arch,
    accelerator: Accelerator,
    *,
    kernel: Path,
    initrd: Path,
    mib: int,
    console: str,
    ports: Mapping[str, int],
) -> list[str]:
    """QEMU's command line.

    ``console`` is the chardev option for the guest's console, without its id.
    ``ports`` has the file descriptor of each port's socket. The monitor's port is
    QEMU's own (QMP); the others are the guest's.
    """
    argv = [
        f"qemu-system-{arch.name}", *arch.qemu_options,
        "-cpu", "host" if accelerator is Accelerator.KVM else "max",
        *_ACCEL_OPTIONS[accelerator],
        "-smp", "1",
        "-m", f"{mib}M",
        "-nodefaults", "-display", "none", "-monitor", "none",
        # Forbid system calls that QEMU does not need: it starts no programs, does not
        # change its user and does not set resource limits.
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
        "resourcecontrol=deny",
        # Together with panic=-1, QEMU exits on a panic instead of hanging.
        "-no-reboot",
        "-chardev", f"{console},id=console",
        "-serial", "chardev:console",
    ]  # fmt: skip
    for name, fd in ports.items():
        argv += ["-chardev", f"socket,id={name},fd={fd}"]
        if name == MONITOR:
            argv += ["-mon", f"chardev={name},mode=control"]
        else:
            device = f"virtserialport,chardev={name},name=harness.{name}"
            argv += ["-device", device]
    argv += [
        "-kernel", str(kernel),
        "-initrd", str(initrd),
        "-append", " ".join((arch.append, _APPEND, *INIT_ENV)),
    ]  # fmt: skip
    return argv


class _Dumped(Exception):
    """The guest's memory is dumped, so the guest can end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuTarget(GuestTarget):
    """Guests under QEMU, whose root has Debian's Python.

    ``root`` is the initramfs of a guest image to use instead; it has the whole project.
    """

    arch: Arch
    accelerator: Accelerator = Accelerator.ICOUNT
    root: Path | None = None

    @property
    def conditions(self) -> Conditions:
        """Instructions or nanoseconds, depending on the accelerator."""
        return _CONDITIONS[self.accelerator]

    @property
    def _init_settings(self) -> InitSettings:
        if self.root is None:
            return _INIT_SETTINGS
        project = f"/{PROJECT}"
        env = {
            **_INIT_SETTINGS.env,
            "PATH": f"{project}/bin:{_INIT_SETTINGS.env['PATH']}",
            "PYTHONPATH": project,
        }
        return replace(_INIT_SETTINGS, env=env, cwd=project)

    def dump_when_ready(
        self,
        argv: Sequence[str],
        is_ready: Callable[[bytes], bool],
        dump: Path,
        console: Path,
        *,
        mib: int,
        files: Mapping[str, bytes],
    ) -> None:
        """Run a command until ``is_ready``, then write the guest's memory to ``dump``.

        ``is_ready`` gets each piece of output and returns whether the guest is ready.
        Then the guest is stopped, its memory is dumped, and the guest is ended.
        ``files`` are as for ``run_command``. Raises JobFailed if the command ends
        before it is ready, EnvironmentFault if the dump cannot be written, and
        GuestError's other subclasses if the guest ends before the dump is complete.
        """
        # Imported here because a guest image contains no QEMU.
        from harness.targets.qmp import dump_memory

        monitors: list[socket.socket] = []

        def on_output(chunk: bytes) -> None:
            if is_ready(chunk):
                dump_memory(monitors[0], dump, console)
                raise _Dumped

        ours = self._files(argv, OUTPUT)
        try:
            status = self._boot(
                {**ours, **files}, mib, lambda _: None, on_output, console,
                monitors.append,
            )  # fmt: skip
        except _Dumped:
            return
        raise JobFailed(
            "the command ended before the guest's memory was dumped: status "
            f"{status.code}",
            tail_of(console),
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
        log = _escaped(console)
        shown = f"stdio,signal=off,logfile={log}" if interactive else f"file,path={log}"
        # A file without a name, so that it cannot be left behind.
        with tempfile.TemporaryFile() as initrd:
            if self.root is None:
                if JOB in files:
                    root = worker_root(self.arch, workers_bundle().standard)
                else:
                    root = guest_root(self.arch)
                initrd.write(root.read_bytes())
                initrd.write(harness_archive())
            else:
                with open(self.root, "rb") as whole:
                    shutil.copyfileobj(whole, initrd)
            initrd.write(job_archive(files))
            initrd.flush()
            fd = initrd.fileno()
            os.lseek(fd, 0, os.SEEK_SET)
            argv = qemu_argv(
                self.arch, self.accelerator, kernel=self.kernel,
                initrd=Path(f"/proc/self/fd/{fd}"), mib=mib, console=shown,
                ports=ports,
            )  # fmt: skip
            yield Launch(argv=argv, pass_fds=(fd, *ports.values()))


def _escaped(path: Path) -> str:
    # In an option of QEMU, a comma ends a value; two commas mean one comma.
    return str(path).replace(",", ",,")
