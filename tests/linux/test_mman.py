import errno
import mmap
import re
from collections.abc import Callable

import pytest

from harness.linux import (
    advise_memory,
    map_memory,
    protect_memory,
    read_maps,
    remap_memory,
    unmap_memory,
)
from harness.linux.uapi import (
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    MREMAP_MAYMOVE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from harness.maps import parse_maps

PAGE = mmap.PAGESIZE


def test_mappings_are_made_changed_moved_and_removed_by_address() -> None:
    #  01234
    #  -----   map
    #  -r---   protect
    #  -r--    shrink
    start = map_memory(0, 5 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS)
    protect_memory(start + PAGE, PAGE, PROT_READ)
    start = remap_memory(start + 2 * PAGE, 3 * PAGE, 2 * PAGE, 0) - 2 * PAGE
    advise_memory(start + PAGE, PAGE, mmap.MADV_DONTNEED)

    shown = {
        ((e.start - start) // PAGE, (e.end - start) // PAGE): e.perms
        for e in parse_maps(read_maps())
        if start <= e.start < start + 5 * PAGE
    }

    assert shown[0, 1] == "---p"
    assert shown[1, 2] == "r--p"
    assert shown[2, 4] == "---p"
    unmap_memory(start, 4 * PAGE)
    assert all(e.start != start for e in parse_maps(read_maps()))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: map_memory(0, PAGE, PROT_READ, MAP_PRIVATE), errno.EBADF),
        (lambda: unmap_memory(1, PAGE), errno.EINVAL),
        (lambda: protect_memory(0, PAGE, PROT_WRITE), errno.ENOMEM),
        (lambda: remap_memory(0, PAGE, 2 * PAGE, MREMAP_MAYMOVE), errno.EFAULT),
        (lambda: advise_memory(0, PAGE, 12345), errno.EINVAL),
    ],
)
def test_a_refusal_is_an_oserror_with_the_kernel_s_errno(
    call: Callable[[], object], code: int
) -> None:
    with pytest.raises(OSError, match=re.escape(f"[Errno {code}]")):
        call()
