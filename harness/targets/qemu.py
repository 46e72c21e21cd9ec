"""Guests under QEMU: counting instructions, or on silicon where KVM works.

``-icount shift=0,sleep=off`` makes one instruction one nanosecond of the
guest's clock and skips idle time, so what is measured is the same on a busy
host. It takes one processor, without KVM.
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
    InitWords,
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
    """What runs a guest's code, and so what its clock counts."""

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

# An idle guest gathers no entropy; Python wants some before its first line.
_APPEND = (
    "rdinit=/job/init panic=-1 quiet random.trust_bootloader=on random.trust_cpu=on"
)

_WORDS = InitWords(
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

    ``console`` is the chardev that the guest's console goes to, without its id;
    ``ports`` gives each port's socket as a file descriptor; the one of the
    monitor is QEMU's own (QMP), the others are the guest's.
    """
    argv = [
        f"qemu-system-{arch.name}", *arch.qemu_options,
        "-cpu", "host" if accelerator is Accelerator.KVM else "max",
        *_ACCEL_OPTIONS[accelerator],
        "-smp", "1",
        "-m", f"{mib}M",
        "-nodefaults", "-display", "none", "-monitor", "none",
        # Of the host's kernel QEMU needs little: it starts no programs, becomes
        # nobody else, and sets nobody's limits.
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
        "resourcecontrol=deny",
        # With panic=-1 this makes a panic an exit, not a hang.
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
    """Nothing more of the guest is of interest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuTarget(GuestTarget):
    """Guests of a machine under QEMU, with Debian's Python as their root.

    ``root`` is another initramfs, with the whole project in it (an image).
    """

    arch: Arch
    accelerator: Accelerator = Accelerator.ICOUNT
    root: Path | None = None

    @property
    def conditions(self) -> Conditions:
        """Instructions or nanoseconds, by the accelerator."""
        return _CONDITIONS[self.accelerator]

    @property
    def _words(self) -> InitWords:
        if self.root is None:
            return _WORDS
        place = f"/{PROJECT}"
        env = {
            **_WORDS.env,
            "PATH": f"{place}/bin:{_WORDS.env['PATH']}",
            "PYTHONPATH": place,
        }
        return replace(_WORDS, env=env, cwd=place)

    def dump_when_held(
        self,
        argv: Sequence[str],
        is_held: Callable[[bytes], bool],
        dump: Path,
        console: Path,
        *,
        mib: int,
        files: Mapping[str, bytes],
    ) -> None:
        """Run a command until it holds still; write the guest's memory to ``dump``.

        ``is_held`` gets the output as it comes and says when it does; the guest is
        stopped then and, with its memory dumped, ended. ``files`` are as for
        ``run_command``. Raises JobFailed for a command that ended before,
        EnvironmentFault where the dump cannot be written, GuestError's other
        subclasses for a guest that did not live to the end of its dump.
        """
        # Not in an image, which has no QEMU.
        from harness.targets.qmp import dump_memory

        monitors: list[socket.socket] = []

        def on_output(chunk: bytes) -> None:
            if is_held(chunk):
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
            f"a command that was to be held ended with status {status.code}",
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
        kept = _escaped(console)
        shown = (
            f"stdio,signal=off,logfile={kept}" if interactive else f"file,path={kept}"
        )
        # No name on disk that could stay.
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
    # In an option of QEMU's a comma ends a value, and two are one.
    return str(path).replace(",", ",,")
