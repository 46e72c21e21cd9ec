import errno
import mmap
import os
import re
from collections.abc import Callable

import pytest

from harness.linux import (
    current_break,
    lock_memory,
    map_memory,
    move_heap,
    read_into,
    set_break,
    unlock_memory,
    unmap_memory,
)
from harness.linux.uapi import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE

PAGE = mmap.PAGESIZE
BASE = 0x20_0000_0000


def in_a_child(do: Callable[[], bool]) -> bool:
    """What ``do`` says in a process of its own, whose memory it may spoil."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if do() else 1)
        finally:
            os._exit(2)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.kernel
def test_a_moved_heap_grows_where_it_is_and_shrinks() -> None:
    def do() -> bool:
        move_heap(BASE)
        set_break(BASE + 3 * PAGE)
        grown = current_break()
        set_break(BASE)
        try:
            set_break(PAGE)
        except OSError as error:
            return (
                grown == BASE + 3 * PAGE
                and current_break() == BASE
                and error.errno == errno.ENOMEM
            )
        return False

    assert in_a_child(do)


def test_a_page_is_written_where_it_may_be_and_efault_where_not() -> None:
    start = map_memory(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    unmap_memory(start + PAGE, PAGE)
    with open("/dev/zero", "rb") as zero:
        assert read_into(zero.fileno(), start, 1) == 1
        with pytest.raises(OSError, match=re.escape(f"[Errno {errno.EFAULT}]")):
            read_into(zero.fileno(), start + PAGE, 1)
    lock_memory(start, PAGE)
    unlock_memory(start, PAGE)
    with pytest.raises(OSError, match=re.escape(f"[Errno {errno.ENOMEM}]")):
        lock_memory(start + PAGE, PAGE)
    unmap_memory(start, PAGE)
