"""Reads the VMAs of a process, and their names, from a dump of a guest's memory.

QEMU writes the guest's physical memory to an ELF file. drgn reads it with the debug
information of the kernel that ran there. That kernel takes no part in this.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import drgn
from drgn.helpers.linux.mapletree import mt_for_each
from drgn.helpers.linux.mm import vma_name
from drgn.helpers.linux.pid import find_task

from harness.errors import EnvironmentFault

_LONGEST_NAME = 256
_ELF_HEADER, _PROGRAM_HEADER = 64, 56


@dataclass(frozen=True, slots=True)
class NameStruct:
    """A struct anon_vma_name: its address, its reference count, its text."""

    address: int
    references: int
    text: bytes


@dataclass(frozen=True, slots=True)
class KernelVma:
    """A VMA: its start and end address, and its name, if it has one."""

    start: int
    end: int
    name: NameStruct | None


class Vmcore:
    """The memory of a kernel, read with its dump, its vmlinux and its vmcoreinfo.

    Raises EnvironmentFault if the dump is missing, incomplete or not a dump, and if
    the vmlinux belongs to another kernel.
    """

    def __init__(self, dump: Path, vmlinux: Path, vmcoreinfo: bytes) -> None:
        check_dump(dump)
        self._check_kernel(vmlinux, vmcoreinfo)
        self._dump = dump
        try:
            self._program = drgn.Program(vmcoreinfo=vmcoreinfo)
            self._program.set_core_dump(dump)
            self._program.load_debug_info([vmlinux])
        except (
            drgn.MissingDebugInfoError, drgn.BadDataError, drgn.FaultError,
            drgn.OutOfBoundsError, OSError, ValueError, LookupError, OverflowError,
        ) as error:  # fmt: skip
            raise EnvironmentFault(
                f"{dump} cannot be read with {vmlinux}: {error!s:.300}"
            ) from None
        self._layout = _Layout(self._program)

    @staticmethod
    def _check_kernel(vmlinux: Path, vmcoreinfo: bytes) -> None:
        build_id = re.search(
            rb"^BUILD-ID=((?:[0-9a-f]{2})+)$", vmcoreinfo, re.MULTILINE
        )
        if build_id is None:
            raise EnvironmentFault("the kernel's vmcoreinfo has no build id")
        try:
            content = vmlinux.read_bytes()
        except OSError as error:
            raise EnvironmentFault(f"vmlinux cannot be read: {error}") from None
        if b"GNU\0" + bytes.fromhex(build_id[1].decode()) not in content:
            raise EnvironmentFault(
                f"{vmlinux} does not belong to the dumped kernel, whose build id is "
                f"{build_id[1].decode()}; build it again: anonvma build"
            )

    def vmas(self, pid: int) -> Iterator[KernelVma]:
        """The VMAs of a process, by address.

        Raises EnvironmentFault if the dump does not contain them.
        """
        layout, read = self._layout, self._program.read
        structs: dict[int, NameStruct] = {}
        try:
            for vma in self._vma_addresses(pid):
                field = layout.fields_in(read(vma, layout.size))
                start, end = field("vm_start"), field("vm_end")
                address = 0
                if layout.named_files or not field("vm_file"):
                    address = field("anon_name")
                if address and address not in structs:
                    structs[address] = self._struct_at(address)
                yield KernelVma(start, end, structs[address] if address else None)
        except (drgn.FaultError, LookupError) as error:
            raise EnvironmentFault(
                f"{self._dump} does not contain the VMAs of process {pid}: {error}"
            ) from None

    def names_shown(self, pid: int) -> Iterator[tuple[int, int, bytes]]:
        """Start, end and name of each VMA; drgn's own ``vma_name`` reads the name."""
        kind = self._program.type("struct vm_area_struct *")
        for address in self._vma_addresses(pid):
            vma = drgn.Object(self._program, kind, value=address)
            yield vma.vm_start.value_(), vma.vm_end.value_(), vma_name(vma)

    def _vma_addresses(self, pid: int) -> Iterator[int]:
        task = find_task(self._program, pid)
        if not task:
            raise EnvironmentFault(f"{self._dump} has no process {pid}")
        for _, _, entry in mt_for_each(task.mm.mm_mt.address_of_()):
            yield entry.value_()

    def _struct_at(self, address: int) -> NameStruct:
        kref, text = self._layout.kref, self._layout.text
        head = self._program.read(address, text)
        return NameStruct(
            address,
            int.from_bytes(head[kref : kref + 4], "little"),
            self._program.read_c_string(address + text, max_size=_LONGEST_NAME),
        )


class _Layout:
    """The offsets of the fields. With them, one read gets all fields of a VMA.

    Without them, each VMA takes a dozen drgn objects.
    """

    def __init__(self, program: drgn.Program) -> None:
        vma = program.type("struct vm_area_struct")
        self.size = drgn.sizeof(vma)
        self._fields = {
            name: drgn.offsetof(vma, name)
            for name in ("vm_start", "vm_end", "vm_file", "anon_name", "shared")
        }
        # Before 6.2, anon_name is in a union with shared, which a VMA of a file uses
        # (commit d09e8ca6cb93, "mm: anonymous shared memory naming").
        self.named_files = self._fields["anon_name"] != self._fields["shared"]
        struct = program.type("struct anon_vma_name")
        self.kref = drgn.offsetof(struct, "kref.refcount.refs.counter")
        self.text = drgn.offsetof(struct, "name")

    def fields_in(self, data: bytes) -> Callable[[str], int]:
        """A function that returns a field of ``data``, the bytes of a VMA, by name."""
        fields = self._fields

        def field(name: str) -> int:
            at = fields[name]
            return int.from_bytes(data[at : at + 8], "little")

        return field


def check_dump(path: Path) -> None:
    """Check that a dump is ELF and as long as its program headers say.

    Raises EnvironmentFault if it is not.
    """
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(_ELF_HEADER)
            if head[:4] != b"\x7fELF" or len(head) < _ELF_HEADER:
                raise EnvironmentFault(f"{path} is not a dump of a guest's memory")
            at, count = _number(head, 32, 8), _number(head, 56, 2)
            headers = os.pread(file.fileno(), count * _PROGRAM_HEADER, at)
    except OSError as error:
        raise EnvironmentFault(f"the dump cannot be read: {error}") from None
    except OverflowError:
        raise EnvironmentFault(
            f"{path} is incomplete or not a dump: its headers are beyond the largest "
            "file offset"
        ) from None
    whole = at + count * _PROGRAM_HEADER
    for each in range(0, len(headers) - _PROGRAM_HEADER + 1, _PROGRAM_HEADER):
        whole = max(
            whole, _number(headers, each + 8, 8) + _number(headers, each + 32, 8)
        )
    if size < whole:
        raise EnvironmentFault(
            f"{path} is incomplete: it should have {whole} bytes but has {size}; is "
            "the disk full?"
        )


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
