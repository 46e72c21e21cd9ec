import struct
from pathlib import Path

import pytest

from harness.audit.vmcore import Vmcore, check_dump
from harness.errors import EnvironmentFault

BUILD_ID = bytes(range(20))


def elf(*, promised: int, there: int) -> bytes:
    """A dump with one segment of ``promised`` bytes, ``there`` of them in it."""
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\2\1\1",
        4,
        183,
        1,
        0,
        64,
        0,
        0,
        64,
        56,
        1,
        0,
        0,
        0,
    )
    segment = struct.pack("<IIQQQQQQ", 1, 0, 120, 0, 0, promised, promised, 0)
    return header + segment + bytes(there)


def test_a_dump_that_is_whole_is_taken(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(elf(promised=4096, there=4096))

    check_dump(tmp_path / "dump")


@pytest.mark.parametrize("there", [0, 1, 4095])
def test_a_dump_cut_short_is_one_error(tmp_path: Path, there: int) -> None:
    (tmp_path / "dump").write_bytes(elf(promised=4096, there=there))

    with pytest.raises(
        EnvironmentFault, match=f"incomplete: .* 4216 .* {120 + there};"
    ):
        check_dump(tmp_path / "dump")


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"x" * 5000])
def test_what_is_no_dump_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dump").write_bytes(content)

    with pytest.raises(EnvironmentFault, match="is not a dump of a guest's memory"):
        check_dump(tmp_path / "dump")


def test_a_dump_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="the dump cannot be read"):
        check_dump(tmp_path / "dump")


def test_a_vmlinux_of_another_kernel_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(elf(promised=1, there=1))
    (tmp_path / "vmlinux").write_bytes(b"GNU\0" + bytes(20))
    told = b"OSRELEASE=6.12\nBUILD-ID=" + BUILD_ID.hex().encode() + b"\n"

    with pytest.raises(EnvironmentFault, match="does not belong to the dumped kernel"):
        Vmcore(tmp_path / "dump", tmp_path / "vmlinux", told)


def test_a_kernel_that_does_not_say_who_it_is_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(elf(promised=1, there=1))

    with pytest.raises(EnvironmentFault, match="has no build id"):
        Vmcore(tmp_path / "dump", tmp_path / "vmlinux", b"OSRELEASE=6.12\n")
