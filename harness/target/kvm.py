"""Whether KVM works here, asked by booting: a /dev/kvm that opens proves nothing."""

import os
import platform
from dataclasses import replace
from pathlib import Path

from harness.errors import HarnessError
from harness.paths import cache_dir
from harness.scratch import scratch_folder
from harness.target.channel import Deadlines
from harness.target.qemu import Accelerator, QemuTarget

_DEADLINE_S = 15.0


def best_accelerator(target: QemuTarget) -> Accelerator:
    """KVM where a guest of this target boots under it in time, else icount.

    Asked once for each machine and start of this one: the answer is kept.
    """
    if target.arch.name != platform.machine() or not os.access("/dev/kvm", os.W_OK):
        return Accelerator.ICOUNT
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    kept = cache_dir() / f"kvm-{target.arch.name}-{boot_id}"
    if not kept.exists():
        works = _boots_under_kvm(target)
        for old in cache_dir().glob(f"kvm-{target.arch.name}-*"):
            old.unlink(missing_ok=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("works\n" if works else "does not boot a guest\n")
    works = kept.read_text() == "works\n"
    return Accelerator.KVM if works else Accelerator.ICOUNT


def _boots_under_kvm(target: QemuTarget) -> bool:
    limits = Deadlines(boot_s=_DEADLINE_S, silence_s=_DEADLINE_S, total_s=_DEADLINE_S)
    probe = replace(target, accelerator=Accelerator.KVM, deadlines=limits)
    with scratch_folder() as scratch:
        console = scratch / "console.txt"
        try:
            return probe.run_command(["true"], lambda _: None, console) == 0
        except HarnessError:
            return False
