"""The supported machines, one row each, as the kernel, toolchain and QEMU name them."""

import platform
from dataclasses import dataclass

from harness.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Arch:
    """A machine type that kernels are built for and that guests have.

    ``um`` is one too: User-Mode Linux, a kernel that runs as a process of the host.
    """

    # uname -m and QEMU: qemu-system-NAME; or "um"
    name: str
    # The kernel's ARCH=, and the fragment kernels/config/KERNEL_ARCH.config
    kernel_arch: str
    # The toolchain's prefix, used for cross-compiling
    gnu_prefix: str
    # Debian's packages with the cross-compiler, and with the C library for it
    cross_package: str
    cross_libc_package: str
    # The make target, and the path of the image that it makes in the output tree
    image_target: str
    image_path: str
    # Headers below /usr/include that the kernel's build tools need, each with the
    # Debian package that has it
    headers: tuple[tuple[str, str], ...] = (("openssl/bio.h", "libssl-dev"),)
    # Patches in kernels/patches/BASE/ that every variant needs on this machine
    patches: tuple[str, ...] = ()
    # Debian's name for the architecture; the package of QEMU; QEMU's options for the
    # machine and the virtio-serial bus; the kernel's arguments for console and reboot
    debian_arch: str = ""
    qemu_package: str = ""
    qemu_options: tuple[str, ...] = ()
    append: str = ""

    @property
    def native(self) -> bool:
        """Whether the host's own compiler builds kernels for it."""
        return self.name in ("um", platform.machine())

    @property
    def cross_compile(self) -> str:
        """The value of CROSS_COMPILE= on this host."""
        return "" if self.native else self.gnu_prefix

    @property
    def build_package(self) -> str:
        """The Debian package of the compiler that builds it on this host."""
        return "gcc" if self.native else self.cross_package

    @property
    def libc_package(self) -> str:
        """The Debian package of the C library that its programs link with here."""
        return "libc6-dev" if self.native else self.cross_libc_package


ARCHES = {
    arch.name: arch
    for arch in (
        Arch(
            name="aarch64",
            kernel_arch="arm64",
            gnu_prefix="aarch64-linux-gnu-",
            cross_package="gcc-aarch64-linux-gnu",
            cross_libc_package="libc6-dev-arm64-cross",
            image_target="Image",
            image_path="arch/arm64/boot/Image",
            debian_arch="arm64",
            qemu_package="qemu-system-arm",
            qemu_options=(
                "-M", "virt,gic-version=3",
                "-device", "virtio-serial-device",
            ),
            append="console=ttyAMA0",
        ),
        Arch(
            name="x86_64",
            kernel_arch="x86_64",
            gnu_prefix="x86_64-linux-gnu-",
            cross_package="gcc-x86-64-linux-gnu",
            cross_libc_package="libc6-dev-amd64-cross",
            image_target="bzImage",
            image_path="arch/x86/boot/bzImage",
            # objtool needs libelf.
            headers=(("openssl/bio.h", "libssl-dev"), ("gelf.h", "libelf-dev")),
            debian_arch="amd64",
            qemu_package="qemu-system-x86",
            qemu_options=(
                "-M", "microvm,acpi=off",
                "-device", "virtio-serial-device",
            ),
            append="console=ttyS0 reboot=t",
        ),
        Arch(
            name="um",
            kernel_arch="um",
            gnu_prefix="",
            cross_package="gcc",
            cross_libc_package="libc6-dev",
            image_target="linux",
            image_path="linux",
            patches=("um-xstate.patch",),
        ),
    )
}  # fmt: skip

# The machines of QEMU guests, and User-Mode Linux.
QEMU_ARCHES = tuple(name for name, arch in ARCHES.items() if arch.qemu_package)
UM = ARCHES["um"]


def arch_named(name: str) -> Arch:
    """The machine with this name. Raises UsageError, which lists the known names."""
    try:
        return ARCHES[name]
    except KeyError:
        known = ", ".join(sorted(ARCHES))
        raise UsageError(f"unknown machine {name!r}; known machines: {known}") from None
