"""Where jobs run: guests, what they boot from, and how they are told apart in death."""

from harness.target.channel import Deadlines
from harness.target.qemu import ACCELERATOR, QemuTarget, memory_mib
from harness.target.rootfs import guest_root

__all__ = ["ACCELERATOR", "Deadlines", "QemuTarget", "guest_root", "memory_mib"]
