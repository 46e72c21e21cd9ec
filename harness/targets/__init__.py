"""Runs jobs: in guests or on the running kernel; also makes what guests boot from."""

from harness.targets.channel import Deadlines
from harness.targets.guest import COMMAND_MIB, GuestTarget, memory_mib
from harness.targets.guest_image import IMAGE_MIB, make_image, read_image
from harness.targets.host import HostTarget, host_facts
from harness.targets.kernel_image import arch_of_image
from harness.targets.kvm import best_accelerator
from harness.targets.pyz import write_pyz
from harness.targets.qemu import Accelerator, QemuTarget
from harness.targets.rootfs import guest_root
from harness.targets.uml import UmlTarget

__all__ = [
    "COMMAND_MIB",
    "IMAGE_MIB",
    "Accelerator",
    "Deadlines",
    "GuestTarget",
    "HostTarget",
    "QemuTarget",
    "UmlTarget",
    "arch_of_image",
    "best_accelerator",
    "guest_root",
    "host_facts",
    "make_image",
    "memory_mib",
    "read_image",
    "write_pyz",
]
