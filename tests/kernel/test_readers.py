"""Every reader of a process's mappings, on the zoo: they agree.

What psutil and python-ptrace are known to do with some lines has a test for each,
which says what the library does now: one that goes red is a release that mends it.
"""

import errno
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from ptrace.debugger.memory_mapping import readProcessMappings
from ptrace.debugger.process_error import ProcessError

import harness
from harness.linux import query_vma, read_maps, read_smaps
from harness.maps import MapsEntry, PathKind, parse_maps, render_line, smaps_headers
from tests import zoo
from tests.zoo import NASTY_FILES, NASTY_NAMES, Expected, zoo_from_lines

pytestmark = pytest.mark.kernel


@dataclass(frozen=True, slots=True)
class Zoo:
    """A process that stays, what it said, and what maps shows of it."""

    pid: int
    expected: list[Expected]
    entries: list[MapsEntry]

    def of_file(self, last: bytes) -> MapsEntry:
        """The mapping of one of ``NASTY_FILES``."""
        (start,) = [e.start for e in self.expected if e.what == f"a file {last!r}"]
        return {e.start: e for e in self.entries}[start]


@pytest.fixture(scope="module")
def living() -> Iterator[Zoo]:
    """The zoo, in a process of its own."""
    root = Path(harness.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, str(Path(zoo.__file__))], text=True, cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout
        lines = list(itertools.takewhile(str.strip, process.stdout))
        yield Zoo(
            process.pid, zoo_from_lines(lines), list(parse_maps(read_maps(process.pid)))
        )
    assert process.returncode == 0


def unescaped(pathname: bytes) -> bytes:
    """A path of the zoo before maps wrote its newlines as ``\\012``."""
    return pathname.replace(b"new\\012line", b"new\nline")


def test_maps_shows_what_the_zoo_says(living: Zoo) -> None:
    shown = {e.start: (e.end, e.pathname) for e in living.entries}

    assert {e.what: shown.get(e.start) for e in living.expected} == {
        e.what: (e.end, e.pathname) for e in living.expected
    }
    kinds = {e.kind for e in living.entries}
    assert kinds >= {PathKind.UNNAMED, PathKind.ANON, PathKind.SPECIAL, PathKind.FILE}
    whats = [e.what for e in living.expected]
    assert all(f"private {name!r}" in whats for name in NASTY_NAMES)
    assert all(f"a file {last!r}" in whats for last in NASTY_FILES)


def test_the_ioctl_tells_what_maps_shows_but_for_newlines(living: Zoo) -> None:
    """d_path() for the ioctl, seq_path() with an escape for maps."""
    try:
        query_vma(0, pid=living.pid, or_next=True)
    except OSError as error:
        if error.errno == errno.ENOTTY:
            pytest.skip("no PROCMAP_QUERY in this kernel: Linux 6.11 and later")
        raise
    for entry in living.entries:
        told = query_vma(entry.start, pid=living.pid)
        if entry.pathname == b"[vsyscall]":
            assert told is None
            continue
        assert told is not None
        assert MapsEntry(**asdict(told)) == entry._replace(
            pathname=unescaped(entry.pathname)
        )
    newline = living.of_file(b"new\nline")
    assert newline.pathname != unescaped(newline.pathname)


def test_a_walk_by_the_ioctl_finds_the_lines_of_maps(living: Zoo) -> None:
    found, address = [], 0
    try:
        while vma := query_vma(address, pid=living.pid, or_next=True):
            found.append((vma.start, vma.end))
            address = vma.end
    except OSError as error:
        if error.errno == errno.ENOTTY:
            pytest.skip("no PROCMAP_QUERY in this kernel: Linux 6.11 and later")
        raise

    assert found == [
        (e.start, e.end) for e in living.entries if e.pathname != b"[vsyscall]"
    ]


def test_the_headers_of_smaps_are_the_lines_of_maps(living: Zoo) -> None:
    assert smaps_headers(read_smaps(living.pid)) == read_maps(living.pid)


def trusted_of_psutil(entry: MapsEntry) -> bool:
    """Whether psutil tells a line as it is; the tests below have the others."""
    path = entry.pathname
    return bool(path) and path == path.strip() and not path.endswith(b" (deleted)")


def of_psutil(living: Zoo) -> dict[int, tuple[str, bytes]]:
    """What psutil tells of every VMA: permissions and path, by its start."""
    return {
        int(row.addr.split("-")[0], 16): (row.perms, row.path.encode(
            errors="surrogateescape"))
        for row in psutil.Process(living.pid).memory_maps(grouped=False)
    }  # fmt: skip


def test_psutil_agrees_where_it_can_be_trusted(living: Zoo) -> None:
    told = of_psutil(living)

    assert told.keys() == {e.start for e in living.entries}
    trusted = [e for e in living.entries if trusted_of_psutil(e)]
    assert {e.start: told[e.start] for e in trusted} == {
        e.start: (e.perms, e.pathname) for e in trusted
    }
    # Every anonymous name, the nasty ones too: brackets hold them together.
    assert all(trusted_of_psutil(e) for e in living.entries if e.anon_name is not None)


def test_psutil_calls_memory_without_a_name_anon(living: Zoo) -> None:
    told = of_psutil(living)

    unnamed = {told[e.start][1] for e in living.entries if not e.pathname}
    assert unnamed == {b"[anon]"}


def test_psutil_takes_deleted_from_what_was_deleted(living: Zoo) -> None:
    told = of_psutil(living)

    gone = [
        e for e in living.entries
        if e.pathname.endswith(b" (deleted)") and b"exists" not in e.pathname
    ]  # fmt: skip
    assert b"/memfd:mine (deleted)" in {e.pathname for e in gone}
    # /dev/zero exists: "/dev/zero" is told of memory that is of no file.
    assert [told[e.start][1] for e in gone] == [e.pathname[:-10] for e in gone]
    # A file whose name ends so is told as it is.
    exists = living.of_file(b"exists (deleted)")
    assert told[exists.start][1] == exists.pathname


@pytest.mark.parametrize("last", [b"behind  ", b"cr behind\r"], ids=repr)
def test_psutil_strips_white_space_behind_a_path(living: Zoo, last: bytes) -> None:
    entry = living.of_file(last)

    assert entry.pathname.endswith(last)
    assert of_psutil(living)[entry.start][1] == entry.pathname.rstrip()


@dataclass(slots=True, weakref_slot=True)
class _Reading:
    """What python-ptrace's reader needs of a process."""

    pid: int


def of_ptrace(lines: list[bytes], tmp_path: Path) -> list[str | None]:
    """What python-ptrace's parser makes of lines: their last fields."""
    path = tmp_path / "maps"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    reading = _Reading(1)
    with patch("ptrace.debugger.memory_mapping.openProc", lambda _: open(path)):
        return [mapping.pathname for mapping in readProcessMappings(reading)]


def test_python_ptrace_reads_every_anonymous_name(living: Zoo, tmp_path: Path) -> None:
    named = [e for e in living.entries if e.anon_name is not None]

    assert len(named) >= len(NASTY_NAMES)
    assert of_ptrace([render_line(e) for e in named], tmp_path) == [
        e.pathname.decode() for e in named
    ]


def test_python_ptrace_tells_none_for_no_name(living: Zoo, tmp_path: Path) -> None:
    unnamed = [render_line(e) for e in living.entries if not e.pathname]

    assert set(of_ptrace(unnamed, tmp_path)) == {None}


def test_python_ptrace_strips_what_is_behind_a_path(
    living: Zoo, tmp_path: Path
) -> None:
    entry = living.of_file(b"behind  ")

    assert of_ptrace([render_line(entry)], tmp_path) == [
        entry.pathname.decode().rstrip()
    ]


@pytest.mark.parametrize("last", [b"cr\rin it"], ids=repr)
def test_python_ptrace_fails_at_a_carriage_return(
    living: Zoo, tmp_path: Path, last: bytes
) -> None:
    with pytest.raises(ProcessError, match="Unable to parse memory mapping"):
        of_ptrace([render_line(living.of_file(last))], tmp_path)


def test_python_ptrace_fails_at_a_path_that_is_no_utf_8(
    living: Zoo, tmp_path: Path
) -> None:
    with pytest.raises(UnicodeDecodeError):
        of_ptrace([render_line(living.of_file(b"\xff no UTF-8"))], tmp_path)


def test_python_ptrace_fails_at_a_wide_device_number(tmp_path: Path) -> None:
    """The kernel has 20 bits for a minor number; 4097 mounts take more than 12."""
    line = b"7f0000000000-7f0000001000 r--p 00000000 00:%x 1 " % 0x1000
    (entry,) = parse_maps(line.ljust(73) + b"/a file\n")

    assert entry.minor == 0x1000
    with pytest.raises(ProcessError, match=re.escape("Unable to parse memory mapping")):
        of_ptrace([render_line(entry)], tmp_path)
