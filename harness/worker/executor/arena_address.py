"""Where an arena can lie: free, and far from what a kernel places by itself.

Low, because maps is in the order of addresses: whoever reads it need not read
past the arena. User-Mode Linux places memory from 1 GiB up.
"""

import re
from dataclasses import dataclass

from harness.errors import EnvironmentFault
from harness.linux import current_break, read_maps
from harness.maps import parse_maps
from harness.workload.ops import MOST_PAGES, PAGE

# What the heap may grow by meanwhile, and what stays free on each side.
_DISTANCE = 128 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """The first address of an arena, and how its lines of maps are told.

    ``inside`` finds the lines of the arena in a piece of maps, ``beyond`` whether
    there is one after it.
    """

    start: int
    inside: re.Pattern[bytes]
    beyond: re.Pattern[bytes]


_PLACES = (
    Place(
        0x2000_0000,
        re.compile(rb"^[23][0-9a-f]{7}-.*$", re.MULTILINE),
        re.compile(rb"^(?:[4-9a-f][0-9a-f]{7}|[0-9a-f]{9,16})-", re.MULTILINE),
    ),
    Place(
        0x10_0000_0000,
        re.compile(rb"^10[0-9a-f]{8}-.*$", re.MULTILINE),
        re.compile(rb"^(?:10[0-9a-f]{9}|1[1-9a-f][0-9a-f]{8}|[2-9a-f][0-9a-f]{9}"
                   rb"|[0-9a-f]{11,16})-", re.MULTILINE),
    ),
)  # fmt: skip


def find_place() -> Place:
    """A place where nothing is; EnvironmentFault where each is taken."""
    entries = list(parse_maps(read_maps()))
    for place in _PLACES:
        low = place.start - _DISTANCE
        high = place.start + MOST_PAGES * PAGE
        heap = low <= current_break() < high
        if not heap and all(e.end <= low or high <= e.start for e in entries):
            return place
    raise EnvironmentFault("this process has memory wherever an arena could be")
