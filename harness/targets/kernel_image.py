"""Detects the architecture of a user's kernel image from its first bytes.

Sources: Documentation/arch/arm64/booting.rst, Documentation/arch/x86/boot.rst,
elf(5).
"""

from pathlib import Path
from typing import BinaryIO

from harness.errors import UsageError

_ARM64_MAGIC, _ARM64_AT = b"ARM\x64", 0x38
_X86_MAGIC, _X86_AT = b"HdrS", 0x202
# A 64-bit little-endian ELF file for x86-64. A vmlinux is one too, but does not contain
# the words that a UML binary contains.
_ELF, _X86_64_MACHINE, _MACHINE_AT = b"\x7fELF\x02\x01", b"\x3e\x00", 18
_UML_WORD = b"User Mode Linux"
_PIECE = 1 << 20


def arch_of_image(path: Path) -> str:
    """The name, in harness.arch.ARCHES, of a kernel image's architecture.

    Raises UsageError for a file that cannot be read or is none of the three kinds.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(0x300)
            is_elf = head.startswith(_ELF) and head[_MACHINE_AT:][:2] == _X86_64_MACHINE
            if is_elf and _says_uml(head, file):
                return "um"
    except OSError as error:
        raise UsageError(f"cannot read the kernel {path}: {error.strerror}") from None
    if head[_ARM64_AT:].startswith(_ARM64_MAGIC):
        return "aarch64"
    if head[_X86_AT:].startswith(_X86_MAGIC):
        return "x86_64"
    raise UsageError(
        f"{path} is not a kernel that can boot here; expected an arm64 Image, an "
        "x86-64 bzImage or a User-Mode Linux binary (make ARCH=um)"
    )


def _says_uml(head: bytes, rest: BinaryIO) -> bool:
    # Read piece by piece: a file may be larger than memory.
    kept = head
    while True:
        if _UML_WORD in kept:
            return True
        piece = rest.read(_PIECE)
        if not piece:
            return False
        kept = kept[-len(_UML_WORD) :] + piece
