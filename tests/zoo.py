"""A process with every kind of mapping, and with names made to break parsers.

The standard library and ``harness.linux`` are all it needs, so it runs in a bare
guest, its text given to ``python3 -c``: it then prints its mappings, one JSON line
each (text as hexadecimal), an empty line, and waits until its standard input ends.
"""

import contextlib
import ctypes
import errno
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from harness.linux import map_memory, read_into, read_maps, set_anon_name, unmap_memory
from harness.linux.libc import check, quick
from harness.linux.uapi import (
    MAP_ANONYMOUS,
    MAP_FIXED_NOREPLACE,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from harness.maps import MapsEntry, parse_maps

PAGE = os.sysconf("SC_PAGESIZE")
NASTY_NAMES = [
    b"", b" ", b"  ", b" ahead", b"behind ", b"runs  of   spaces", b"x (deleted)",
    b" (deleted)", b"/etc/passwd", b"a:b", b"00:00 0", b"# %s %n", b"<b>&amp;'\"",
    b"anon:x", b"heap", b"7f00-8000 rw-p 00000000 00:00 0", b"Size: 4 kB", b"~",
    b"n" * 79,
]  # fmt: skip
# The last part of a path. The kernel writes a newline as \012, and nothing else.
NASTY_FILES = [
    b"runs  of   spaces", b"behind  ", b" ahead", b"exists (deleted)", b"\\012",
    b"new\nline", b"cr\rin it", b"cr behind\r", b"tab\tin it", b"[anon:x]", b"[heap]",
    b"\xff no UTF-8", b"\xe2\x80\xa8separator", b"7f00-8000 rw-p",
]  # fmt: skip

_MAP_GROWSDOWN, _MAP_STACK, _MAP_HUGETLB = 0x0100, 0x20000, 0x40000
_HUGE = 2 << 20
_READ_WRITE = PROT_READ | PROT_WRITE
_ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS
_SHARED = MAP_SHARED | MAP_ANONYMOUS
# Where nothing else is mapped, on every machine of ours; far from the facts' arena.
_BASE = 0x28_0000_0000
# Of which each mapping has its own, so that no two can merge.
_ROOM = 4 * _HUGE
_NUMBERS = {
    "aarch64": {"mseal": 462, "shmat": 196, "shmctl": 195, "shmget": 194},
    "x86_64": {"mseal": 462, "shmat": 30, "shmctl": 31, "shmget": 29},
}
_syscall = quick.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long,) * 6


@dataclass(frozen=True, slots=True)
class Expected:
    """A mapping of the zoo: its range in bytes, and its text in maps.

    ``name`` is what the kernel took; None where it has none or refused it.
    ``[heap]`` and its like hide theirs.
    """

    what: str
    start: int
    end: int
    pathname: bytes
    name: bytes | None = None


def build_zoo(folder: bytes) -> list[Expected]:
    """Make the mappings in this process; where, and what maps should say.

    ``folder`` is an empty one on a tmpfs; files stay in it. Kinds that a kernel
    lacks (SysV, huge pages, mseal) are left out. Raises OSError, and RuntimeError
    where a kernel names what it should not, or not what it should.
    """
    zoo = _Zoo(folder)
    _add_private(zoo)
    _add_shared(zoo)
    _add_memfds(zoo)
    _add_tmpfs(zoo)
    _add_files(zoo)
    _add_rare(zoo)
    _add_names(zoo)
    # Last: nothing that is built after them may move them.
    _add_own(zoo)
    return zoo.expected


def zoo_from_lines(lines: list[str]) -> list[Expected]:
    """What the zoo printed, as values."""
    return [
        Expected(
            what=row["what"],
            start=row["start"],
            end=row["end"],
            pathname=bytes.fromhex(row["pathname"]),
            name=None if row["name"] is None else bytes.fromhex(row["name"]),
        )
        for row in map(json.loads, lines)
    ]


class _Zoo:
    def __init__(self, folder: bytes) -> None:
        self.expected: list[Expected] = []
        self._folder = folder
        self._next = _BASE
        probe = map_memory(0, PAGE, PROT_READ, _SHARED)
        # From Linux 6.2 on.
        self.shared_nameable = self.named(probe, PAGE, b"probe")
        unmap_memory(probe, PAGE)

    def room(self) -> int:
        """An address of its own for a mapping."""
        start, self._next = self._next, self._next + _ROOM
        return start

    @contextlib.contextmanager
    def file(self, last: bytes) -> Iterator[tuple[int, bytes]]:
        """A file of one page in the folder: its descriptor and path."""
        path = self._folder + b"/" + last
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(fd, PAGE)
        yield fd, path
        os.close(fd)

    @staticmethod
    def named(start: int, size: int, name: bytes) -> bool:
        """Name a range; whether the kernel did. OSError unless it said EBADF."""
        try:
            set_anon_name(start, size, name)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            return False
        return True

    def add(
        self,
        what: str,
        pathname: bytes,
        *,
        name: bytes | None = None,
        size: int = PAGE,
        prot: int = _READ_WRITE,
        flags: int = _ANONYMOUS,
        fd: int = -1,
        nameable: bool = True,
        written: bool = False,
    ) -> int:
        """Map, name, and note what maps should show: its address.

        ``pathname`` is the text while it is unnamed. A kernel that takes a name
        where it should not, or does not where it should, ends the zoo.
        """
        fixed = flags | MAP_FIXED_NOREPLACE
        start = map_memory(self.room(), size, prot, fixed, fd=fd)
        if written:
            with open("/dev/zero", "rb") as zero:
                read_into(zero.fileno(), start, 1)
        if name is not None:
            if self.named(start, size, name) is not nameable:
                raise RuntimeError(f"{what}: named is {not nameable}")
            kind = b"anon_shmem" if flags & MAP_SHARED or fd >= 0 else b"anon"
            pathname = b"[%s:%s]" % (kind, name) if nameable else pathname
        taken = name if nameable else None
        self.expected.append(Expected(what, start, start + size, pathname, taken))
        return start

    def note(self, what: str, entry: MapsEntry, name: bytes, shown: bytes) -> None:
        """Name a mapping that is there already, whole."""
        assert self.named(entry.start, entry.end - entry.start, name)
        self.expected.append(Expected(what, entry.start, entry.end, shown, name))


def _add_private(zoo: _Zoo) -> None:
    zoo.add("private, unnamed", b"")
    zoo.add("private, unnamed, written to", b"", written=True)
    for prot in range(8):
        zoo.add(f"private, protection {prot}", b"", name=b"prot %d" % prot, prot=prot)
    for what, flag in (
        ("MAP_GROWSDOWN", _MAP_GROWSDOWN),
        ("MAP_STACK", _MAP_STACK),
        ("MAP_NORESERVE", MAP_NORESERVE),
    ):
        zoo.add(what, b"", name=what.encode(), flags=_ANONYMOUS | flag)


def _add_shared(zoo: _Zoo) -> None:
    unnamed = b"/dev/zero (deleted)"
    can = zoo.shared_nameable
    zoo.add("shared, unnamed", unnamed, flags=_SHARED)
    zoo.add("shared", unnamed, name=b"shared", flags=_SHARED, nameable=can)
    with open("/dev/zero", "r+b", buffering=0) as zero:
        fd = zero.fileno()
        zoo.add("/dev/zero shared", unnamed, name=b"zero", flags=MAP_SHARED, fd=fd,
                nameable=can)  # fmt: skip
        zoo.add("/dev/zero private", b"/dev/zero", name=b"zero", flags=MAP_PRIVATE,
                fd=fd, nameable=False, written=True)  # fmt: skip


def _add_memfds(zoo: _Zoo) -> None:
    for flags, how in ((MAP_SHARED, "shared"), (MAP_PRIVATE, "private")):
        fd = os.memfd_create("mine")
        os.ftruncate(fd, PAGE)
        shown = b"/memfd:mine (deleted)"
        zoo.add(f"memfd {how}, unnamed", shown, flags=flags, fd=fd)
        zoo.add(f"memfd {how}", shown, name=b"memfd", flags=flags, fd=fd,
                nameable=zoo.shared_nameable)  # fmt: skip
        os.close(fd)


def _add_tmpfs(zoo: _Zoo) -> None:
    for flags, how in ((MAP_SHARED, "shared"), (MAP_PRIVATE, "private")):
        with zoo.file(b"kept " + how.encode()) as (fd, path):
            zoo.add(f"tmpfs {how}", path, name=b"no", flags=flags, fd=fd,
                    nameable=False, written=True)  # fmt: skip
        with zoo.file(b"once mapped " + how.encode()) as (fd, path):
            zoo.add(f"tmpfs {how}, unlinked once mapped", path + b" (deleted)",
                    flags=flags, fd=fd)  # fmt: skip
            os.unlink(path)  # noqa: PTH108
        with zoo.file(b"before " + how.encode()) as (fd, path):
            os.unlink(path)  # noqa: PTH108
            zoo.add(f"tmpfs {how}, unlinked before", path + b" (deleted)",
                    name=b"unlinked", flags=flags, fd=fd,
                    nameable=zoo.shared_nameable)  # fmt: skip


def _add_files(zoo: _Zoo) -> None:
    path = os.fsencode(os.path.realpath("/proc/self/exe"))
    with open(path, "rb") as file:
        for flags, how in ((MAP_SHARED, "shared"), (MAP_PRIVATE, "private")):
            zoo.add(f"a regular file {how}", path, name=b"no", prot=PROT_READ,
                    flags=flags, fd=file.fileno(), nameable=False)  # fmt: skip
        zoo.add("a regular file's written pages", path, name=b"no", flags=MAP_PRIVATE,
                fd=file.fileno(), nameable=False, written=True)  # fmt: skip
    for last in NASTY_FILES:
        with zoo.file(last) as (fd, path):
            shown = path.replace(b"\n", b"\\012")
            zoo.add(f"a file {last!r}", shown, flags=MAP_SHARED, fd=fd)


def _add_rare(zoo: _Zoo) -> None:
    if (segment := _if_built_in("shmget", 0, PAGE, 0o600)) is not None:
        start = zoo.room()
        _if_built_in("shmat", segment, start, 0)
        _if_built_in("shmctl", segment, 0, 0)
        assert not zoo.named(start, PAGE, b"no")
        shown = b"/SYSV00000000 (deleted)"
        zoo.expected.append(Expected("SysV", start, start + PAGE, shown))
    # Not reserved, so that it takes no huge page to be there.
    if os.path.exists("/proc/sys/vm/nr_hugepages"):  # noqa: PTH110
        zoo.add("MAP_HUGETLB", b"/anon_hugepage (deleted)", name=b"no", size=_HUGE,
                prot=PROT_NONE, nameable=False,
                flags=_ANONYMOUS | MAP_NORESERVE | _MAP_HUGETLB)  # fmt: skip
    start = zoo.add("mseal()ed", b"", name=b"before")
    _if_built_in("mseal", start, PAGE, 0)


def _add_names(zoo: _Zoo) -> None:
    for name in NASTY_NAMES:
        zoo.add(f"private {name!r}", b"", name=name)
        zoo.add(f"shared {name!r}", b"/dev/zero (deleted)", name=name, flags=_SHARED,
                nameable=zoo.shared_nameable)  # fmt: skip


def _add_own(zoo: _Zoo) -> None:
    """What the process had: .bss, [heap], [stack], [vdso] and its like."""
    lines = list(parse_maps(read_maps()))
    for data, after in itertools.pairwise(lines):
        if (data.inode and data.perms == after.perms == "rw-p"
                and data.end == after.start and not after.pathname):  # fmt: skip
            zoo.note(".bss", after, b"my .bss", b"[anon:my .bss]")
    for entry in lines:
        if entry.pathname.startswith((b"[heap", b"[stack", b"[vdso", b"[vvar")):
            zoo.note("own", entry, b"hidden", entry.pathname)


def _if_built_in(call: str, *words: int) -> int | None:
    """A bare system call; None where the kernel was built without. OSError."""
    number = _NUMBERS[os.uname().machine][call]
    try:
        return check(_syscall(number, *(*words, 0, 0, 0)[:6]))
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return None
        raise


def zoo_folder() -> bytes:
    """A new folder on a tmpfs, for ``build_zoo``. RuntimeError where there is none."""
    with open("/proc/self/mounts", "rb") as file:
        mounts = [line.split() for line in file]
    for _, place, kind, *_ in mounts:
        if kind == b"tmpfs" and place in (b"/dev/shm", b"/run", b"/tmp"):
            try:
                return tempfile.mkdtemp(prefix=b"zoo-", dir=place)
            except OSError:
                continue
    raise RuntimeError("no tmpfs on /dev/shm, /run or /tmp that can be written to")


def main() -> None:
    """Print the zoo, and stay."""
    folder = zoo_folder()
    try:
        for expected in build_zoo(folder):
            row = asdict(expected)
            row["pathname"] = expected.pathname.hex()
            row["name"] = None if expected.name is None else expected.name.hex()
            print(json.dumps(row))
        print(flush=True)
        sys.stdin.read()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
