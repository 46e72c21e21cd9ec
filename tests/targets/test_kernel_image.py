from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.targets import arch_of_image


def head(*parts: tuple[int, bytes]) -> bytes:
    """Bytes at their places, zeros between."""
    made = bytearray(0x400)
    for at, what in parts:
        made[at : at + len(what)] = what
    return bytes(made)


ELF = (0, b"\x7fELF\x02\x01"), (18, b"\x3e\x00")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (head((0x38, b"ARM\x64")), "aarch64"),
        (head((0x202, b"HdrS")), "x86_64"),
        (head(*ELF) + b"vendor_id\t: User Mode Linux\n", "um"),
    ],
)
def test_an_image_is_told_by_its_first_bytes(
    tmp_path: Path, content: bytes, name: str
) -> None:
    (tmp_path / "image").write_bytes(content)

    assert arch_of_image(tmp_path / "image") == name


@pytest.mark.parametrize(
    "content",
    [b"", b"ARM\x64", head(), head(*ELF), head((0, b"\x7fELF\x02\x01"), (18, b"\xb7"))],
    ids=["empty", "misplaced", "zeros", "vmlinux", "ELF of ARM64"],
)
def test_what_cannot_be_booted_is_refused_with_what_can(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "image").write_bytes(content)

    with pytest.raises(UsageError, match="expected an arm64 Image, an x86-64 bzImage"):
        arch_of_image(tmp_path / "image")


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the kernel"):
        arch_of_image(tmp_path / "image")


def test_an_image_of_any_size_is_read_a_piece_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(head(*ELF))
    size = (1 << 20) * 3 - 7
    with open(path, "r+b") as file:
        file.seek(size)
        file.write(b"User Mode Linux")

    assert arch_of_image(path) == "um"
