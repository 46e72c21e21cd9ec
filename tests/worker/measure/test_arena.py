import ctypes
import mmap
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from harness.errors import CheckFailed
from harness.linux import map_memory, protect_memory, read_maps, unmap_memory
from harness.maps import MapsEntry, parse_maps, render_maps
from harness.worker.measure import arena as arena_module
from harness.worker.measure.arena import Arena, check_maps
from harness.workload import Layout, layout_of, naming_from_label

ROOT = Path(__file__).parents[3]
PAGE = mmap.PAGESIZE
NONE = naming_from_label("none")


@pytest.mark.parametrize(
    "layout",
    [
        layout_of(1, 0),
        layout_of(2, 0),
        layout_of(101, 1),
        layout_of(30, 10),
        Layout(vmas=7, vma_pages=300, written_pages=299),
    ],
    ids=repr,
)
def test_maps_show_exactly_the_vmas_of_the_layout(layout: Layout) -> None:
    with Arena(layout, seed=1) as arena:
        check_maps(arena.expected_text(NONE))
        inside = range(arena.start, arena.start + arena.length)
        shown = [e for e in parse_maps(read_maps()) if e.start in inside]

    assert shown == arena_entries(layout, inside.start)


def arena_entries(layout: Layout, start: int) -> list[MapsEntry]:
    """The same, computed in another way: page by page."""
    end = start + layout.arena_pages * PAGE
    entries = [MapsEntry(start=start, end=start + PAGE, perms="---p")]
    at = start + PAGE
    while at < end - PAGE:
        perms = "rw-p" if len(entries) % 2 else "r--p"
        stop = at + layout.vma_pages * PAGE
        entries.append(MapsEntry(start=at, end=stop, perms=perms))
        at = stop
    return [*entries, MapsEntry(start=at, end=end, perms="---p")]


@pytest.mark.parametrize(("written", "vma_pages"), [(0, 1), (1, 1), (3, 3), (1, 4)])
def test_just_the_pages_that_should_be_written_are(
    written: int, vma_pages: int
) -> None:
    layout = Layout(vmas=20, vma_pages=vma_pages, written_pages=written)

    with (
        Arena(layout, seed=7) as arena,
        open("/proc/self/pagemap", "rb", buffering=0) as pagemap,
    ):
        first = arena.start // PAGE
        pagemap.seek(first * 8)
        bits = pagemap.read(layout.arena_pages * 8)

    present = [bits[i * 8 + 7] >> 7 == 1 for i in range(layout.arena_pages)]
    expected = [False] * layout.arena_pages
    for page in layout.first_pages():
        expected[page : page + written] = [True] * written
    assert present == expected


def test_an_arena_beside_a_reserve_of_the_same_kind_does_not_merge_with_it() -> None:
    """The C library keeps such reserves; memory is given out from the top down."""
    reserves = [map_memory(0, 8 * PAGE, 0, 0x4022) for _ in range(20)]
    try:
        with Arena(layout_of(5, 0), seed=1) as arena:
            check_maps(arena.expected_text(NONE))
    finally:
        for reserve in reserves:
            unmap_memory(reserve, 8 * PAGE)


def test_building_rests_as_often_whatever_the_kernel_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rests: list[float] = []
    monkeypatch.setattr(time, "sleep", rests.append)

    Arena(layout_of(2000, 0), seed=1, rest_s=0.05).unmap()
    Arena(layout_of(2000, 0), seed=1).unmap()

    assert rests == [0.05] * 4


def test_nothing_stays_mapped() -> None:
    with Arena(layout_of(10, 0), seed=1) as arena:
        start, end = arena.start, arena.start + arena.length

    assert not [e for e in parse_maps(read_maps()) if start <= e.start < end]
    arena.unmap()


@pytest.mark.parametrize("piece", [1, 7, 300, 4096])
@pytest.mark.parametrize("spoilt", [None, 0, 1, 30, 49, 50, 51])
def test_the_check_is_the_same_whatever_is_read_at_once(
    piece: int, spoilt: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line may be cut anywhere; VMA -1 and the last are guards."""
    monkeypatch.setattr(arena_module, "_PIECE", piece)
    with Arena(layout_of(50, 0), seed=1) as arena:
        expected = arena.expected_text(NONE)
        if spoilt is None:
            check_maps(expected)
        else:
            protect_memory(arena.start + spoilt * PAGE, PAGE, 4)
            with pytest.raises(CheckFailed, match=f"VMA {spoilt - 1} of the arena"):
                check_maps(expected)


def test_a_process_that_is_gone_fails_the_check() -> None:
    """Its maps are empty."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with (
            Arena(layout_of(3, 0), seed=1) as arena,
            pytest.raises(CheckFailed, match="no line"),
        ):
            check_maps(arena.expected_text(NONE), pid=pid)
    finally:
        os.waitpid(pid, 0)


@pytest.mark.slow
def test_the_check_takes_no_more_memory_than_the_text_twice() -> None:
    with Arena(layout_of(20_000, 0), seed=1) as arena:
        tracemalloc.start()
        try:
            expected = arena.expected_text(NONE)
            check_maps(expected)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    # And what does not grow with it: the lines that are made together.
    assert peak <= 2 * len(expected) + (1 << 19)


def test_a_named_text_takes_little_more_memory_than_itself() -> None:
    with Arena(layout_of(10_000, 0), seed=1) as arena:
        tracemalloc.start()
        try:
            expected = arena.expected_text(naming_from_label("distinct:79"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak <= 1.25 * len(expected) + (1 << 19)


def test_one_vma_that_differs_fails_the_check_by_number() -> None:
    with Arena(layout_of(50, 0), seed=1) as arena:
        expected = arena.expected_text(NONE)
        protect_memory(arena.start + 20 * PAGE, PAGE, 0)

        with pytest.raises(CheckFailed, match=r"VMA 19 of the arena .*---p"):
            check_maps(expected)


def test_names_that_are_not_there_fail_the_check() -> None:
    with (
        Arena(layout_of(5, 0), seed=1) as arena,
        pytest.raises(CheckFailed, match=r"VMA 0 of the arena .*\[anon:0\.\.\]"),
    ):
        check_maps(arena.expected_text(naming_from_label("distinct:3")))


def test_naming_is_looped_over_addresses_of_memory_and_of_texts() -> None:
    layout = Layout(vmas=3, vma_pages=2)

    with Arena(layout, seed=1) as arena:
        with arena.naming_loop(naming_from_label("distinct:2")) as loop:
            texts = ctypes.string_at(loop.text, loop.calls * loop.stride)
        with arena.naming_loop(naming_from_label("shared:2")) as shared:
            pass
        first = arena.start + PAGE

    assert texts == b"\0".join([b"0.", b"1.", b"2.", b""])
    assert (loop.calls, loop.start, loop.length) == (3, first, 2 * PAGE)
    assert (shared.calls, shared.start, shared.length) == (1, first, 6 * PAGE)


@pytest.mark.parametrize(
    "label", ["none", "shared:7", "distinct:3", "distinct:79", "distinct-same-text:0"]
)
@pytest.mark.parametrize(
    "layout", [layout_of(1, 0), layout_of(2, 1), layout_of(3, 1, 2), layout_of(2500, 0)]
)
@pytest.mark.parametrize(
    "start", [0x7F12_3456_7000, 0x1_0000, 0xFFF_F000, 0xFFFF_E000, 0xF_FFFF_F000]
)
def test_the_text_is_that_of_the_entries_line_by_line(
    label: str, layout: Layout, start: int
) -> None:
    """Where an address has a digit more than the one before it, too."""
    naming = naming_from_label(label)
    arena = Arena.__new__(Arena)
    arena.layout, arena.start = layout, start

    assert arena.expected_text(naming) == render_maps(arena.entries(naming))


def test_texts_are_gone_before_anything_is_forked() -> None:
    with Arena(layout_of(5, 0), seed=1) as arena:
        with arena.naming_loop(naming_from_label("distinct:2")) as loop:
            assert any(e.start <= loop.text < e.end for e in parse_maps(read_maps()))

        assert not any(e.start <= loop.text < e.end for e in parse_maps(read_maps()))


# As a worker is started: what a heap has room for hangs on all that was imported.
MAKE_NAMES = """
import gc, sys
from pathlib import Path
from harness.worker.measure import experiment, worker
from harness.worker.measure.arena import Arena, prepare_heap
from harness.workload import layout_of, naming_from_label

def pages():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) // 4

gc.disable()
pages()
prepare_heap()
with Arena(layout_of(4000, 0), seed=1) as arena:
    before = pages()
    with arena.naming_loop(naming_from_label(sys.argv[1])):
        pass
    print(pages() - before)
"""


@pytest.mark.parametrize("label", ["distinct:10", "distinct:63", "distinct:79"])
def test_a_process_that_makes_names_has_no_more_pages_than_another(label: str) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", MAKE_NAMES, label], check=True,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    assert int(done.stdout) <= 1


def test_names_given_again_differ_in_their_first_byte() -> None:
    layout = layout_of(1500, 0)

    with Arena(layout, seed=1) as arena:
        texts = {}
        for label in ("distinct:2", "distinct-same-text:0"):
            naming = naming_from_label(label)
            with arena.naming_loop(naming, again=True) as loop:
                texts[label] = ctypes.string_at(loop.text, loop.calls * loop.stride)

    names = [naming_from_label("distinct:2").name_of(i) or b"" for i in range(1500)]
    assert texts["distinct:2"] == b"".join(b"+%s\0" % name[1:] for name in names)
    assert texts["distinct-same-text:0"] == b"\0" * 1500
