"""Finds out whether KVM works here, by booting a guest.

That /dev/kvm can be opened does not prove that it works.
"""

import os
import platform
from dataclasses import replace
from pathlib import Path

from harness.errors import HarnessError
from harness.host.paths import cache_dir
from harness.host.scratch import scratch_folder
from harness.targets.channel import Deadlines
from harness.targets.qemu import Accelerator, QemuTarget

_DEADLINE_S = 15.0
_WORKS, _DOES_NOT = b"works\n", b"does not boot a guest\n"


def best_accelerator(target: QemuTarget) -> Accelerator:
    """KVM if a guest of this target boots under it in time, otherwise icount.

    The answer is cached for each architecture, until this machine reboots.
    """
    if target.arch.name != platform.machine() or not os.access("/dev/kvm", os.W_OK):
        return Accelerator.ICOUNT
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    kept = cache_dir() / f"kvm-{target.arch.name}-{boot_id}"
    answer = _answer_in(kept)
    if answer is None:
        answer = _WORKS if _boots_under_kvm(target) else _DOES_NOT
        for old in cache_dir().glob(f"kvm-{target.arch.name}-*"):
            old.unlink(missing_ok=True)
        _keep(answer, kept)
    return Accelerator.KVM if answer == _WORKS else Accelerator.ICOUNT


def _answer_in(kept: Path) -> bytes | None:
    # The cached answer; None if there is none or the file is damaged.
    try:
        text = kept.read_bytes()
    except FileNotFoundError:
        return None
    return text if text in (_WORKS, _DOES_NOT) else None


def _keep(answer: bytes, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Written whole: on a full disk, half an answer would stay until the next reboot.
    with scratch_folder(kept.parent) as scratch:
        (scratch / kept.name).write_bytes(answer)
        (scratch / kept.name).replace(kept)


def _boots_under_kvm(target: QemuTarget) -> bool:
    limits = Deadlines(boot_s=_DEADLINE_S, silence_s=_DEADLINE_S, total_s=_DEADLINE_S)
    under_kvm = replace(target, accelerator=Accelerator.KVM, deadlines=limits)
    with scratch_folder() as scratch:
        console = scratch / "console.txt"
        try:
            return under_kvm.run_command(["true"], lambda _: None, console) == 0
        except HarnessError:
            return False
