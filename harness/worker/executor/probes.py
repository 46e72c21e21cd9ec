"""Probes how the running kernel behaves where kernels differ.

Each probe is named after a field of ``harness.model.Behaviour`` and returns its
value. It unmaps the memory that it used.
"""

import os
from collections.abc import Callable

from harness.linux import (
    bound_fork,
    map_memory,
    move_heap,
    protect_memory,
    read_maps,
    remap_memory,
    set_anon_name,
    set_break,
    unmap_memory,
)
from harness.linux.uapi import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MAP_SHARED,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
)
from harness.maps import MapsEntry, parse_maps
from harness.worker.executor.arena_address import ArenaAddress
from harness.workload.ops import PAGE


def probe_behaviour(arena: ArenaAddress) -> dict[str, bool | None]:
    """Every probe's answer by name; None if this process lacks the right to probe.

    Raises OSError(EPROTO) if a probe's process dies.
    """
    return {probe.__name__: _apart(probe, arena.start) for probe in _PROBES}


def _apart(probe: Callable[[int], bool], start: int) -> bool | None:
    # Each probe runs in its own process, because some move the heap.
    pid = bound_fork()
    if pid == 0:
        code = 9
        try:
            code = int(probe(start))
        except PermissionError:
            code = 2
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, 1, 2):
        raise OSError(71, f"the probe {probe.__name__} ended with status {code}")
    return None if code == 2 else bool(code)


def _map(start: int, prot: int, flags: int = MAP_PRIVATE) -> None:
    map_memory(start, PAGE, prot, flags | MAP_ANONYMOUS | MAP_FIXED)


def _entries(start: int) -> list[MapsEntry]:
    return [
        e for e in parse_maps(read_maps())
        if start <= e.start < start + 64 * PAGE
    ]  # fmt: skip


def anon_shmem(start: int) -> bool:
    """Whether shared anonymous memory takes a name."""
    _map(start, 3, MAP_SHARED)
    try:
        set_anon_name(start, PAGE, b"probe")
    except OSError:
        return False
    finally:
        unmap_memory(start, PAGE)
    return True


def heap_strict(start: int) -> bool:
    """Whether memory that begins at the break is not shown as heap."""
    move_heap(start)
    _map(start, 1)
    shown = _entries(start)[0].pathname
    unmap_memory(start, PAGE)
    return shown != b"[heap]"


def heap_exec(start: int) -> bool:
    """Whether the heap is executable."""
    move_heap(start)
    set_break(start + PAGE)
    perms = _entries(start)[0].perms
    set_break(start)
    return "x" in perms


def unaccounts(start: int) -> bool:
    """Whether memory made read-only merges with memory that always was read-only."""
    _map(start, 3)
    protect_memory(start, PAGE, 1)
    _map(start + PAGE, 1)
    merged = len(_entries(start)) == 1
    unmap_memory(start, 2 * PAGE)
    return merged


def keeps_apart(start: int) -> bool:
    """Whether mremap's copy merges with nothing if it touches its kept source."""
    #   0123
    #   sD      s is kept, its copy goes to D
    #     o     o has the same flags as s; the hole between them is filled by D
    _map(start, 1)
    _map(start + 2 * PAGE, 1)
    flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP
    remap_memory(start, PAGE, PAGE, flags, new_start=start + PAGE)
    apart = len(_entries(start)) == 3
    unmap_memory(start, 3 * PAGE)
    return apart


_PROBES = (anon_shmem, heap_strict, unaccounts, keeps_apart, heap_exec)
