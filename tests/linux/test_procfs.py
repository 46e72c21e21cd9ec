import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.linux import config_digest, read_sysctl
from harness.linux.procfs import parse_build_id


def note(name: bytes, kind: int, value: bytes) -> bytes:
    def padded(raw: bytes) -> bytes:
        return raw + bytes(-len(raw) % 4)

    return (
        struct.pack("<III", len(name), len(value), kind) + padded(name) + padded(value)
    )


def test_the_build_id_is_found_among_other_notes() -> None:
    notes = note(b"Xen\0", 3, b"abcde") + note(b"GNU\0", 3, bytes(range(20)))

    assert parse_build_id(notes) == bytes(range(20)).hex()


@given(st.binary(max_size=100))
def test_notes_of_any_bytes_have_a_build_id_or_none(notes: bytes) -> None:
    assert parse_build_id(notes) is None or b"GNU\0" in notes


def test_a_digest_is_of_the_options_not_of_the_comments() -> None:
    first = "# made yesterday\nCONFIG_A=y\n# CONFIG_B is not set\n"
    second = "# CONFIG_B is not set\n# made today\nCONFIG_A=y\n"

    assert config_digest(first) == config_digest(second)
    assert config_digest(first) != config_digest(first.replace("=y", "=m"))


def test_a_sysctl_is_read_by_its_dotted_name() -> None:
    assert read_sysctl("kernel.ostype") == "Linux"


def test_an_unknown_sysctl_is_an_oserror() -> None:
    with pytest.raises(FileNotFoundError):
        read_sysctl("vm.no_such_setting")


def test_sched_constants_are_those_of_linux() -> None:
    assert os.SCHED_RESET_ON_FORK == 0x40000000
