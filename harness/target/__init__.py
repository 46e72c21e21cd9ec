"""Where jobs run: guests, what they boot from, and how they are told apart in death."""

from harness.target.channel import Deadlines
from harness.target.full_image import IMAGE_MIB, make_image, read_image
from harness.target.guest import COMMAND_MIB, GuestTarget, memory_mib
from harness.target.host import HostTarget, host_facts
from harness.target.image import arch_of_image
from harness.target.kvm import best_accelerator
from harness.target.pyz import write_pyz
from harness.target.qemu import Accelerator, QemuTarget
from harness.target.rootfs import guest_root
from harness.target.uml import UmlTarget

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
