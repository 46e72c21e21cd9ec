"""One row per machine, in the kernel's, the toolchain's and QEMU's spelling."""

import platform
from dataclasses import dataclass

from harness.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Arch:
    """A machine that kernels are built for and guests have.

    ``um`` is one too: a Linux that is a process of this machine.
    """

    # uname -m and QEMU: qemu-system-NAME; or "um"
    name: str
    # The kernel's ARCH=, and the fragment kernels/config/KERNEL_ARCH.config
    kernel_arch: str
    # The toolchain's prefix where this machine is another one
    gnu_prefix: str
    # Debian's packages of that toolchain, and of the C library it links
    cross_package: str
    cross_libc_package: str
    # The make target and where it leaves the image, below the output tree
    image_target: str
    image_path: str
    # Headers below /usr/include that the kernel's own tools are compiled against, and
    # Debian's packages of them
    headers: tuple[tuple[str, str], ...] = (("openssl/bio.h", "libssl-dev"),)
    # Patches of kernels/patches/BASE/ that every variant needs on it
    patches: tuple[str, ...] = ()
    # Debian's name for the architecture; QEMU's package; its machine, CPU and
    # virtio-serial bus; the console, and how to reboot, for the kernel
    debian_arch: str = ""
    qemu_package: str = ""
    qemu_options: tuple[str, ...] = ()
    append: str = ""

    @property
    def native(self) -> bool:
        """Whether this machine's own toolchain builds it."""
        return self.name in ("um", platform.machine())

    @property
    def cross_compile(self) -> str:
        """CROSS_COMPILE= on this machine."""
        return "" if self.native else self.gnu_prefix

    @property
    def build_package(self) -> str:
        """What Debian calls the compiler that builds it here."""
        return "gcc" if self.native else self.cross_package

    @property
    def libc_package(self) -> str:
        """What Debian calls the C library that programs for it are linked with."""
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
            # objtool reads ELF files.
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

# What guests under QEMU can be, and what User-Mode Linux is.
QEMU_ARCHES = tuple(name for name, arch in ARCHES.items() if arch.qemu_package)
UM = ARCHES["um"]


def arch_named(name: str) -> Arch:
    """The machine of that name; UsageError lists the known ones."""
    try:
        return ARCHES[name]
    except KeyError:
        known = ", ".join(sorted(ARCHES))
        raise UsageError(f"no machine is called {name!r}; known: {known}") from None
