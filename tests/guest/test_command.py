"""A command in a guest: its output, its status, and names made by our wrapper."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.targets import QemuTarget

pytestmark = pytest.mark.guest

NAME_A_PAGE = """
import mmap, sys
from harness.linux import map_memory, read_maps, set_anon_name
from harness.maps import parse_maps
start = map_memory(0, 3 * mmap.PAGESIZE, 1, 0x22)
set_anon_name(start + mmap.PAGESIZE, mmap.PAGESIZE, b" a  b (deleted)")
for entry in parse_maps(read_maps()):
    if start <= entry.start < start + 3 * mmap.PAGESIZE:
        print((entry.start - start) // mmap.PAGESIZE, entry.anon_name)
sys.exit(7)
"""


@pytest.mark.parametrize(
    "variant",
    ["refcount", "strdup", pytest.param("switch", marks=pytest.mark.first)],
)
def test_a_name_that_our_wrapper_sets_is_in_maps_whole(
    boot_target: Callable[..., QemuTarget], console: Path, variant: str
) -> None:
    output = bytearray()

    status = boot_target(variant).run_command(
        ["python3", "-c", NAME_A_PAGE], output.extend, console
    )

    assert output.decode().splitlines() == [
        "0 None",
        "1 b' a  b (deleted)'",
        "2 None",
    ]
    assert status == 7
