"""Finds an address for the arena: free, and far from what the kernel places itself.

The address is low because maps is ordered by address: a reader can stop after the
arena. User-Mode Linux places memory from 1 GiB up.
"""

import re
from dataclasses import dataclass

from harness.errors import EnvironmentFault
from harness.linux import current_break, read_maps
from harness.maps import parse_maps
from harness.workload.ops import MOST_PAGES, PAGE

# Bytes that must be free on each side of the arena, for example for a growing heap.
_DISTANCE = 128 << 20


@dataclass(frozen=True, slots=True)
class ArenaAddress:
    """The first address of an arena, and how to find its lines in maps.

    ``inside`` matches the lines of the arena, ``beyond`` any line after it.
    """

    start: int
    inside: re.Pattern[bytes]
    beyond: re.Pattern[bytes]


_ADDRESSES = (
    ArenaAddress(
        0x2000_0000,
        re.compile(rb"^[23][0-9a-f]{7}-.*$", re.MULTILINE),
        re.compile(rb"^(?:[4-9a-f][0-9a-f]{7}|[0-9a-f]{9,16})-", re.MULTILINE),
    ),
    ArenaAddress(
        0x10_0000_0000,
        re.compile(rb"^10[0-9a-f]{8}-.*$", re.MULTILINE),
        re.compile(rb"^(?:10[0-9a-f]{9}|1[1-9a-f][0-9a-f]{8}|[2-9a-f][0-9a-f]{9}"
                   rb"|[0-9a-f]{11,16})-", re.MULTILINE),
    ),
)  # fmt: skip


def find_arena_address() -> ArenaAddress:
    """The first free address for an arena. Raises EnvironmentFault if none is free."""
    entries = list(parse_maps(read_maps()))
    for arena in _ADDRESSES:
        low = arena.start - _DISTANCE
        high = arena.start + MOST_PAGES * PAGE
        heap = low <= current_break() < high
        if not heap and all(e.end <= low or high <= e.start for e in entries):
            return arena
    raise EnvironmentFault(
        "no address for an arena is free: this process has memory at all of them"
    )
