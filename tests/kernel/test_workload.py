"""Workloads on a kernel with names: built, checked, spoiled, counted."""

import mmap
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import CheckFailed
from harness.linux import (
    protect_memory,
    read_sysctl,
    set_anon_name,
    timed_fork,
    timed_wait,
)
from harness.worker.measure.arena import Arena, check_maps
from harness.worker.measure.facts import kernel_facts, probe_store
from harness.worker.measure.settings import map_count_up_to, settings_of
from harness.worker.measure.store import has_switch
from harness.workload import Store, layout_of, naming_from_label

pytestmark = pytest.mark.kernel

PAGE = mmap.PAGESIZE
SWITCH = "vm.anon_name_copy"
PAGE_LISTS = "vm.percpu_pagelist_high_fraction"


@pytest.mark.parametrize(
    "label", ["shared:1", "shared:79", "distinct:2", "distinct:79",
              "distinct-same-text:40"],
)  # fmt: skip
@pytest.mark.parametrize("pages", [0, 1, 10])
def test_every_vma_has_the_name_it_should_in_parent_and_child(
    label: str, pages: int
) -> None:
    naming = naming_from_label(label)
    with Arena(layout_of(300, pages), seed=1) as arena:
        arena.name(naming)
        expected = arena.expected_text(naming)
        check_maps(expected)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if check_passes(expected) else 1)
        assert os.waitpid(pid, 0)[1] == 0


def check_passes(expected: bytes) -> bool:
    try:
        check_maps(expected)
    except CheckFailed:
        return False
    return True


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda at: set_anon_name(at, PAGE, b"other"), "anon:other"),
        (lambda at: set_anon_name(at, PAGE, None), "maps has"),
        (lambda at: protect_memory(at, PAGE, 0), "---p"),
    ],
    ids=["another name", "no name", "another protection"],
)
def test_the_check_finds_one_vma_that_is_not_as_it_should_be(
    change: Callable[[int], None], shown: str
) -> None:
    naming = naming_from_label("distinct:9")
    with Arena(layout_of(100, 0), seed=1) as arena:
        arena.name(naming)
        expected = arena.expected_text(naming)
        check_maps(expected)
        change(arena.start + 51 * PAGE)

        with pytest.raises(CheckFailed, match="VMA 50 of the arena") as raised:
            check_maps(expected)

    assert shown in str(raised.value)


def test_settings_are_put_back_even_after_kill_9() -> None:
    before = read_sysctl("vm.max_map_count")
    with map_count_up_to(100_000) as limit, settings_of({PAGE_LISTS: "1000"}):
        inside = read_sysctl("vm.max_map_count"), read_sysctl(PAGE_LISTS)
    after = read_sysctl("vm.max_map_count"), read_sysctl(PAGE_LISTS)

    assert inside == (str(limit), "1000") == ("100000", "1000")
    assert after == (before, "0")
    pid = os.fork()
    if pid == 0:
        with map_count_up_to(100_000), settings_of({PAGE_LISTS: "1000"}):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    while (read_sysctl("vm.max_map_count"), read_sysctl(PAGE_LISTS)) != after:
        time.sleep(0.01)


def stores_here() -> list[Store]:
    return list(kernel_facts().stores)


def test_the_store_that_the_kernel_says_is_the_one_that_is_seen() -> None:
    """By memory alone: what a child of named VMAs takes more."""
    if not has_switch():
        assert [probe_store()] == stores_here()
        return
    assert stores_here() == [Store.REFCOUNTED, Store.STRDUP]
    with settings_of({SWITCH: "1"}):
        assert probe_store() is Store.STRDUP
    with settings_of({SWITCH: "0"}):
        assert probe_store() is Store.REFCOUNTED


def objects() -> int:
    """Objects of the slab classes that a name of 79 bytes may lie in."""
    rows = (line.split() for line in Path("/proc/slabinfo").read_text().splitlines())
    return sum(int(r[1]) for r in rows if r[0] in ("kmalloc-96", "kmalloc-128"))


@pytest.mark.parametrize(("copying", "copies"), [("0", 0), ("1", 20_000)])
def test_a_fork_allocates_a_name_for_each_vma_only_where_names_are_copied(
    copying: str, copies: int
) -> None:
    if not has_switch():
        pytest.skip("this kernel has one store")
    layout = layout_of(20_000, 0)
    with settings_of({SWITCH: copying}), Arena(layout, seed=1) as arena:
        unnamed = objects()
        arena.name(naming_from_label("distinct:79"))
        named = objects()
        reading, writing = os.pipe()
        pid, _, _ = timed_fork(time.CLOCK_MONOTONIC)
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        forked = objects()
        os.close(writing)
        os.close(reading)
        timed_wait(pid, time.CLOCK_MONOTONIC)

    # Free objects on partial slabs are counted too.
    assert named - unnamed == pytest.approx(20_000, abs=400)
    assert forked - named == pytest.approx(copies, abs=400)
