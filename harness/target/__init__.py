"""Where jobs run: guests, what they boot from, and how they are told apart in death."""

from harness.target.channel import Deadlines
from harness.target.qemu import (
    ACCELERATOR,
    SETTINGS,
    SETTLE_MS,
    QemuTarget,
    memory_mib,
)
from harness.target.rootfs import guest_root

__all__ = [
    "ACCELERATOR",
    "SETTINGS",
    "SETTLE_MS",
    "Deadlines",
    "QemuTarget",
    "guest_root",
    "memory_mib",
]
