"""One row per machine, in the kernel's, the toolchain's and QEMU's spelling."""

from dataclasses import dataclass

from harness.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Arch:
    """A machine that guests have."""

    # uname -m and QEMU: qemu-system-NAME
    name: str
    # The kernel's ARCH=, and the fragment kernels/config/KERNEL_ARCH.config
    kernel_arch: str
    # Debian's name for the architecture
    debian_arch: str
    # CROSS_COMPILE=
    cross_compile: str
    # The make target and where it leaves the image, below the output tree
    image_target: str
    image_path: str
    # What a Debian host installs to build for it and to run it
    debian_packages: tuple[str, ...]
    # QEMU's machine, CPU and virtio-serial bus
    qemu_options: tuple[str, ...]
    # The console's name on the kernel's command line
    console: str


ARCHES = {
    arch.name: arch
    for arch in (
        Arch(
            name="aarch64",
            kernel_arch="arm64",
            debian_arch="arm64",
            cross_compile="aarch64-linux-gnu-",
            image_target="Image",
            image_path="arch/arm64/boot/Image",
            debian_packages=("gcc-aarch64-linux-gnu", "qemu-system-arm"),
            qemu_options=(
                "-M", "virt,gic-version=3",
                "-cpu", "max",
                "-device", "virtio-serial-device",
            ),
            console="ttyAMA0",
        ),
    )
}  # fmt: skip


def arch_named(name: str) -> Arch:
    """The machine of that name; UsageError lists the known ones."""
    try:
        return ARCHES[name]
    except KeyError:
        known = ", ".join(sorted(ARCHES))
        raise UsageError(f"no machine is called {name!r}; known: {known}") from None
