"""A process that forks is given what it lacks of pages and VMAs of its own."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from harness.linux import read_maps
from harness.maps import MapsEntry, parse_maps
from harness.worker.measure import filling
from harness.worker.measure.filling import Footprint, filled_up, process_footprint

ROOT = Path(__file__).parents[3]
MACHINE = os.uname().machine


@pytest.fixture
def own() -> Footprint:
    found = process_footprint()
    if found is None:
        pytest.skip("this kernel does not count pages (CONFIG_PROC_PAGE_MONITOR)")
    return found


def lack(
    monkeypatch: pytest.MonkeyPatch, own: Footprint, pages: int, vmas: int
) -> None:
    """Have a process lack so many of each."""
    full = Footprint(pages=own.pages + pages, vmas=own.vmas + vmas)
    monkeypatch.setattr(filling, "_FULL", {MACHINE: full})


def entries() -> dict[int, MapsEntry]:
    return {entry.start: entry for entry in parse_maps(read_maps())}


@pytest.fixture
def few_changes() -> Iterator[None]:
    """No collection, which would give pages back, between two counts."""
    import gc

    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("few_changes")
@pytest.mark.parametrize(("pages", "vmas"), [(300, 6), (300, 7), (10, 1), (5, 5)])
def test_vmas_of_written_pages_are_added_and_gone_after(
    pages: int, vmas: int, own: Footprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []
    make = filling._make

    def noted(length: int, count: int) -> tuple[int, int]:
        made.append(make(length, count))
        return made[-1]

    monkeypatch.setattr(filling, "_make", noted)
    lack(monkeypatch, own, pages, vmas)

    with filled_up():
        ((start, length),) = made
        inside = [e for e in entries().values() if start <= e.start < start + length]
        written = ctypes.string_at(start, length)
    after = entries()

    # What this process came to have since it was counted is not lacking.
    assert 0 < length <= pages * filling._PAGE
    assert written == b"\1" * length
    assert len(inside) <= vmas
    assert inside[0].start == start
    assert inside[-1].end == start + length
    assert [e.perms for e in inside] == [
        "r--p" if i % 2 else "rw-p" for i in range(len(inside))
    ]
    assert all(a.end == b.start for a, b in pairwise(inside))
    assert not any(start <= at < start + length for at in after)


def test_a_process_that_lacks_nothing_is_left_alone(
    own: Footprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "_make", lambda *_: pytest.fail("made"))
    lack(monkeypatch, own, -1, 10)

    with filled_up():
        pass


def test_nothing_is_known_of_another_machine_or_where_pages_are_not_counted(
    own: Footprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> bytes:
        raise FileNotFoundError(path)

    monkeypatch.setattr(filling, "_make", lambda *_: pytest.fail("made"))
    monkeypatch.setattr(filling, "_FULL", {"vax": Footprint(pages=10**6, vmas=1)})
    with filled_up():
        pass
    lack(monkeypatch, own, 10, 1)
    monkeypatch.setattr(filling, "read_file", refuse)
    with filled_up():
        pass


# As a worker is started, and one that has imported a little more.
COUNT = """
import gc, sys
from harness.worker.measure import experiment, worker
from harness.worker.measure.arena import prepare_heap
from harness.worker.measure.filling import filled_up, process_footprint
if len(sys.argv) > 1:
    import argparse
gc.disable()
prepare_heap()
with filled_up():
    own = process_footprint()
print(own.pages, own.vmas)
"""


@pytest.mark.skipif(MACHINE not in filling._FULL, reason=f"machine {MACHINE}")
@pytest.mark.usefixtures("own")
def test_processes_that_imported_more_or_less_have_the_same_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for words in ([], ["more"]):
        done = subprocess.run(
            [sys.executable, "-S", "-c", COUNT, *words], check=True, timeout=60,
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        found.append([int(word) for word in done.stdout.split()])

    (pages, vmas), (more_pages, more_vmas) = found
    # Of the hundred pages more, what the count itself takes.
    assert abs(pages - more_pages) <= 8
    assert vmas <= more_vmas
