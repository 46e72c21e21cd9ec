"""vm.max_map_count, set next to what this process has, and put back."""

import contextlib
from collections.abc import Iterator

from harness.linux import read_maps, read_sysctl, write_sysctl

LIMIT = "vm.max_map_count"


def map_count() -> int:
    """How many VMAs there are: [vsyscall], where it is shown, is none."""
    text = read_maps()
    return text.count(b"\n") - text.endswith(b"[vsyscall]\n")


@contextlib.contextmanager
def room_for(vmas: int) -> Iterator[None]:
    """A limit of so many VMAs more than there are; below 0, fewer.

    Inside: bare calls only. What the interpreter takes counts too.
    """
    before = read_sysctl(LIMIT)
    # Whatever counting itself needs has been mapped the second time.
    map_count()
    write_sysctl(LIMIT, str(map_count() + vmas))
    try:
        yield
    finally:
        write_sysctl(LIMIT, before)
