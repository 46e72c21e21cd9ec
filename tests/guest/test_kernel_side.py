"""What the measuring rests on, asked of the kernel itself."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.targets import QemuTarget

pytestmark = pytest.mark.guest

Boot = Callable[..., QemuTarget]


def run_python(target: QemuTarget, program: str, console: Path) -> list[str]:
    """The lines that a program prints in a guest; it must succeed."""
    output = bytearray()
    status = target.run_command(["python3", "-c", program], output.extend, console)
    assert status == 0, output.decode()
    return output.decode().splitlines()


LOOP = """
import ctypes, mmap, struct, time
page = mmap.mmap(-1, 4096, prot=7)
# subs x0, x0, #1; b.ne .-4; ret: twice as many instructions as the argument.
page.write(struct.pack("<3I", 0xF1000400, 0x54FFFFE1, 0xD65F03C0))
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
loop = ctypes.PYFUNCTYPE(None, ctypes.c_long)(address)
def cost(count):
    best = []
    for _ in range(5):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        loop(count)
        best.append(time.clock_gettime_ns(time.CLOCK_MONOTONIC) - before)
    return min(best)
print(cost(1_100_000) - cost(100_000))
"""


@pytest.mark.first
def test_the_guest_s_clock_counts_instructions(
    boot_target: Boot, console: Path
) -> None:
    """2 000 000 instructions more are 2 000 000 on the clock, but for one tick."""
    (difference,) = run_python(boot_target(), LOOP, console)

    assert int(difference) == pytest.approx(2_000_000, abs=8_000)


OBJECTS = """
import mmap, os, sys, time
from harness.linux import timed_fork, timed_wait
from harness.worker.measure.arena import Arena
from harness.workload import layout_of, naming_from_label
def objects():
    rows = (l.split() for l in open("/proc/slabinfo") if l.startswith("kmalloc"))
    return sum(int(row[1]) for row in rows if row[0] in ("kmalloc-96", "kmalloc-128"))
with Arena(layout_of(20_000, 0), seed=1) as arena:
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
    timed_wait(pid, time.CLOCK_MONOTONIC)
print(named - unnamed, forked - named)
"""


@pytest.mark.parametrize(("variant", "copies"), [("refcount", 0), ("strdup", 20_000)])
def test_a_fork_allocates_a_name_for_each_vma_only_where_names_are_copied(
    boot_target: Boot, console: Path, variant: str, copies: int
) -> None:
    (line,) = run_python(boot_target(variant), OBJECTS, console)

    at_naming, at_fork = (int(word) for word in line.split())
    # Free objects on partial slabs are counted too.
    assert at_naming == pytest.approx(20_000, abs=400)
    assert at_fork == pytest.approx(copies, abs=400)


SUPPORT = """
import json
from harness.linux import anon_name_supported, probe_anon_name
print(json.dumps([anon_name_supported(), probe_anon_name().support.value]))
"""


@pytest.mark.parametrize(
    ("variant", "answer"),
    [
        ("none", [False, "not built in"]),
        ("refcount", [True, "supported"]),
        ("strdup", [True, "supported"]),
        ("switch", [True, "supported"]),
    ],
)
def test_the_probe_tells_a_kernel_with_the_feature_from_one_without(
    boot_target: Boot, console: Path, variant: str, answer: list[object]
) -> None:
    (line,) = run_python(boot_target(variant), SUPPORT, console)

    assert json.loads(line) == answer


NAMES = """
import errno, mmap
from harness.linux import map_memory, query_vma, read_maps, set_anon_name
from harness.maps import parse_maps, render_maps
page = mmap.PAGESIZE
names = [b"", b" ", b"  two  spaces ", b"x (deleted)", b"/etc/passwd", b"<b>&'\\"",
         b"n" * 79, b"%s#:;~!", b"[heap"[1:]]
start = map_memory(0, page * (2 * len(names) + 1), 3, 0x22)
for i, name in enumerate(names):
    set_anon_name(start + page * (2 * i + 1), page, name)
text = read_maps()
assert render_maps(parse_maps(text)) == text
shown = {e.start: e for e in parse_maps(text)}
for i, name in enumerate(names):
    at = start + page * (2 * i + 1)
    assert shown[at].anon_name == name, (name, shown[at])
    assert shown[at].end == at + page
    assert shown[at - page].anon_name is None
    try:
        told = query_vma(at)
    except OSError as error:
        assert error.errno == errno.ENOTTY
        print("no ioctl")
        break
    assert (told.start, told.end, told.pathname) == (at, at + page, shown[at].pathname)
else:
    assert query_vma(start).pathname == b""
    assert query_vma(page) is None
    assert query_vma(0, or_next=True).start == min(shown)
    print("ioctl agrees")
for bad in [b"$", b"[", b"]", b"`", b"\\\\", b"\\x7f", b"\\x1f", b"\\xff", b"n" * 80]:
    try:
        set_anon_name(start, page, bad)
    except OSError as error:
        assert error.errno == errno.EINVAL
    else:
        raise AssertionError(bad)
try:
    set_anon_name(start, page, 16)
except OSError as error:
    assert error.errno == errno.EFAULT
set_anon_name(start, page * (2 * len(names) + 1), None)
assert all(e.anon_name is None for e in parse_maps(read_maps()))
print("cleared")
"""


@pytest.mark.parametrize(
    ("base", "said"), [("6.12", "ioctl agrees"), ("6.1", "no ioctl")]
)
def test_names_are_shown_whole_and_the_ioctl_agrees_with_maps(
    boot_target: Boot, console: Path, base: str, said: str
) -> None:
    lines = run_python(boot_target("refcount", base), NAMES, console)

    assert lines == [said, "cleared"]
