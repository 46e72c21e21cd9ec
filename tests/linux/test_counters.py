import struct

import pytest

from harness.errors import UnsupportedError
from harness.linux.counters import parse_slabinfo, parse_vmcoreinfo

SLABINFO = """\
slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>
kmalloc-96          3474   3486     96   42    1 : tunables    0    0    0
kmalloc-rcl-96         7     42     96   42    1 : tunables    0    0    0
"""


def note(name: bytes, value: bytes) -> bytes:
    padded = [part + bytes(-len(part) % 4) for part in (name, value)]
    return struct.pack("<III", len(name), len(value), 0) + b"".join(padded)


def test_active_objects_are_read_by_cache() -> None:
    assert parse_slabinfo(SLABINFO) == {"kmalloc-96": 3474, "kmalloc-rcl-96": 7}


def test_the_kernel_s_description_is_found_among_other_notes() -> None:
    notes = note(b"CORE\0", b"xyz") + note(b"VMCOREINFO\0", b"BUILD-ID=ab\n")

    assert parse_vmcoreinfo(notes) == b"BUILD-ID=ab\n"


@pytest.mark.parametrize("notes", [b"", b"\1\0\0\0", note(b"CORE\0", b"VMCOREINFO\0")])
def test_notes_without_a_description_are_an_error(notes: bytes) -> None:
    with pytest.raises(UnsupportedError, match="no note VMCOREINFO"):
        parse_vmcoreinfo(notes)
