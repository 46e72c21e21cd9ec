"""A child before its first instruction, next to its parent: what fork gave it.

Both stand still, held by ptrace, while every reader looks at them.
"""

import ctypes
import errno
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness.errors import CheckFailed
from harness.linux import (
    QueriedVma,
    advise_memory,
    map_memory,
    query_vma,
    read_maps,
    read_smaps,
    set_anon_name,
)
from harness.linux.uapi import (
    MAP_ANONYMOUS,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    PR_SET_VMA,
    PR_SET_VMA_ANON_NAME,
    PROT_READ,
    PROT_WRITE,
)
from harness.maps import MapsEntry, parse_maps, smaps_headers
from tests.tracer import Birth, StoppedProcess, stopped_at_birth
from tests.zoo import build_zoo, zoo_folder

pytestmark = pytest.mark.kernel

PAGE = os.sysconf("SC_PAGESIZE")
READ_WRITE = PROT_READ | PROT_WRITE
ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS
# include/uapi/asm-generic/mman-common.h
MADV_DONTFORK, MADV_WIPEONFORK = 10, 18
# The parent's own, far from the zoo's: pages that an advice cuts in three.
PAGES, FIRST_KEPT, LAST_KEPT = 9, 3, 6
NAME = b"the name of both"
# A kernel that wrote a new name over the old could only where it fits.
NEW_NAMES = [b"short", b"THE NAME OF BOTH", b"one that is longer than the name of both"]


@dataclass(frozen=True, slots=True)
class Range:
    """Pages of one name, of which those from 3 to 5 were advised about."""

    start: int

    @property
    def advised(self) -> int:
        """Where the advised pages begin."""
        return self.start + FIRST_KEPT * PAGE


# Chosen before the fork, the same in every process: known without being told.
DONTFORK, WIPEONFORK = Range(0x2F_0000_0000), Range(0x2F_0010_0000)
RENAMED = Range(0x2F_0020_0000)


def make(place: Range, advice: int | None = None) -> None:
    """Map a range, name it, write to it all, and advise."""
    flags = ANONYMOUS | MAP_FIXED_NOREPLACE
    map_memory(place.start, PAGES * PAGE, READ_WRITE, flags)
    set_anon_name(place.start, PAGES * PAGE, NAME)
    ctypes.memset(place.start, ord("x"), PAGES * PAGE)
    if advice is not None:
        advise_memory(place.advised, (LAST_KEPT - FIRST_KEPT) * PAGE, advice)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the readers say of a process that stands still."""

    maps: list[MapsEntry]
    smaps: list[MapsEntry]
    flags: dict[int, str]
    queried: list[QueriedVma | None] | None

    def name_at(self, address: int) -> bytes | None:
        """The name that maps shows of the VMA that begins at an address."""
        return {e.start: e for e in self.maps}[address].anon_name


def look_at(process: StoppedProcess) -> Seen:
    """Ask every reader; PROCMAP_QUERY is None where the kernel has none."""
    maps = list(parse_maps(read_maps(process.pid)))
    smaps = read_smaps(process.pid)
    headers = list(parse_maps(smaps_headers(smaps)))
    flags = re.findall(rb"^VmFlags: (.*)$", smaps, re.MULTILINE)
    queried = None
    if has_query():
        queried = [query_vma(e.start, pid=process.pid) for e in maps]
    return Seen(
        maps,
        headers,
        {e.start: f.decode() for e, f in zip(headers, flags, strict=True)},
        queried,
    )


def has_query() -> bool:
    """Whether the kernel has PROCMAP_QUERY: from 6.11 on."""
    try:
        query_vma(0, or_next=True)
    except OSError as error:
        return error.errno != errno.ENOTTY
    return True


def own_name() -> bytes | None:
    """What this process's maps shows at ``RENAMED``."""
    return {e.start: e for e in parse_maps(read_maps())}[RENAMED.start].anon_name


def fork_in_the_zoo(folder: bytes) -> None:
    """Build all that can be inherited, and fork.

    Both end with status 0 where the child was renamed and the parent was not.
    """
    build_zoo(folder)
    make(DONTFORK, MADV_DONTFORK)
    make(WIPEONFORK, MADV_WIPEONFORK)
    make(RENAMED)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if own_name() in NEW_NAMES else 3)
    assert os.waitpid(pid, 0)[1] == 0
    assert own_name() == NAME


@pytest.fixture
def birth() -> Iterator[Birth]:
    """Parent and child of the zoo, held."""
    folder = zoo_folder()
    try:
        with stopped_at_birth(lambda: fork_in_the_zoo(folder)) as birth:
            yield birth
    finally:
        shutil.rmtree(folder)


def test_a_child_has_the_vmas_of_its_parent_but_for_those_not_to_be_forked(
    birth: Birth,
) -> None:
    parent, child = look_at(birth.parent), look_at(birth.child)

    kept_back = [e for e in parent.maps if e.start == DONTFORK.advised]
    assert [(e.end, e.anon_name) for e in kept_back] == [
        (DONTFORK.start + LAST_KEPT * PAGE, NAME)
    ]
    assert "dc" in parent.flags[DONTFORK.advised].split()
    assert child.maps == [e for e in parent.maps if e not in kept_back]
    # What is wiped is there, under its name, and is to be wiped again.
    assert child.name_at(WIPEONFORK.advised) == NAME
    assert "wf" in child.flags[WIPEONFORK.advised].split()
    # The other readers say the same, of both.
    assert (parent.smaps, child.smaps) == (parent.maps, child.maps)
    assert child.flags == {
        start: flags
        for start, flags in parent.flags.items()
        if start != DONTFORK.advised
    }


def test_the_ioctl_says_the_same_of_parent_and_child(birth: Birth) -> None:
    if not has_query():
        pytest.skip("no PROCMAP_QUERY in this kernel: Linux 6.11 and later")
    parent, child = look_at(birth.parent), look_at(birth.child)

    assert parent.queried is not None
    assert child.queried == [
        vma for vma in parent.queried if vma is None or vma.start != DONTFORK.advised
    ]
    # [vsyscall] is of no process.
    assert child.queried.count(None) == sum(
        e.pathname == b"[vsyscall]" for e in child.maps
    )
    assert query_vma(DONTFORK.advised, pid=birth.child.pid) is None


def test_only_what_is_wiped_on_fork_is_zero_in_the_child(birth: Birth) -> None:
    wiped = WIPEONFORK.start, PAGES * PAGE

    before, after = birth.parent.read(*wiped), birth.child.read(*wiped)

    first, last = FIRST_KEPT * PAGE, LAST_KEPT * PAGE
    assert after == before[:first] + bytes(last - first) + before[last:]
    assert any(before[first:last])
    same = RENAMED.start, PAGES * PAGE
    assert birth.parent.read(*same) == birth.child.read(*same)


def rename(process: StoppedProcess, name: bytes) -> int:
    """Have a process name the range ``RENAMED``."""
    return process.call(
        "prctl", PR_SET_VMA, PR_SET_VMA_ANON_NAME, RENAMED.start, PAGES * PAGE, name
    )


def stack_of(process: StoppedProcess) -> bytes:
    """All that its stack holds."""
    maps = parse_maps(read_maps(process.pid))
    (stack,) = [e for e in maps if e.pathname == b"[stack]"]
    return process.read(stack.start, stack.end - stack.start)


@pytest.mark.parametrize("name", NEW_NAMES, ids=["short", "as long", "longer"])
def test_a_rename_in_the_child_is_seen_in_the_child_alone(
    birth: Birth, name: bytes
) -> None:
    parent, child = look_at(birth.parent), look_at(birth.child)
    assert parent.name_at(RENAMED.start) == child.name_at(RENAMED.start) == NAME

    assert rename(birth.child, name) == 0

    after = look_at(birth.child)
    assert look_at(birth.parent) == parent
    assert after.name_at(RENAMED.start) == name
    others = [e for e in after.maps if e.start != RENAMED.start]
    assert others == [e for e in child.maps if e.start != RENAMED.start]
    # Registers and stack are what they were: both go on, and agree.
    assert birth.resume() == (0, 0)


def test_a_call_that_is_refused_raises_its_errno_and_leaves_no_trace(
    birth: Birth,
) -> None:
    rename(birth.child, NEW_NAMES[0])
    before, stack = look_at(birth.child), stack_of(birth.child)

    with pytest.raises(OSError, match="Invalid argument") as raised:
        rename(birth.child, b"no $")

    assert raised.value.errno == errno.EINVAL
    assert (look_at(birth.child), stack_of(birth.child)) == (before, stack)
    # Its fork returns 0, and not what the kernel said last.
    assert birth.resume() == (0, 0)


def test_a_process_that_does_not_fork_is_an_error() -> None:
    with (
        pytest.raises(CheckFailed, match="expected the traced process to fork, but"),
        stopped_at_birth(lambda: None),
    ):
        pass

    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
