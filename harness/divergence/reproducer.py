"""Renders a divergence as a stand-alone Python program (standard library only)."""

from collections.abc import Sequence

from harness.divergence.checker import Divergence, Kernel
from harness.model import Shown
from harness.workload.ops import (
    FILE_PAGES,
    PAGE,
    Advise,
    Break,
    Exec,
    Exit,
    Fork,
    Heap,
    Limit,
    Lock,
    Map,
    Memory,
    Op,
    Pointer,
    Protect,
    Remap,
    SetName,
    Step,
    Unlock,
    Unmap,
    Write,
)

_PROGRAM = '''\
#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""{headline}

Seen on {kernel}.
Exit status: 0 this kernel does as expected, 1 it does not, 2 cannot be decided here.
"""
import ctypes
import errno
import mmap
import os
import signal
import struct
import sys
import tempfile

START, PAGE = {start:#x}, {page}
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = libc.syscall.restype = ctypes.c_long
U, file = ctypes.c_ulong, tempfile.NamedTemporaryFile()
file.truncate({file_pages} * PAGE)
memfd, zero = os.memfd_create("harness"), os.open("/dev/zero", os.O_RDONLY)
os.ftruncate(memfd, {file_pages} * PAGE)
edge = libc.mmap(None, U(2 * PAGE), 3, 0x22, -1, U(0)) + PAGE
libc.mprotect(U(edge), U(PAGE), 0)


def at(page):
    return U(START + page * PAGE)


def code(result):
    return ctypes.get_errno() if result == -1 else 0


def name(page, offset, length, attr, text, on_edge=False):
    if on_edge:
        ctypes.memmove(edge - len(text), text, len(text))
        text = ctypes.c_void_p(edge - len(text))
    where = U(START + page * PAGE + offset)
    return code(libc.prctl(0x53564D41, U(attr), where, U(length), text))


def write(page, pages):
    for each in range(page, page + pages):
        if libc.read(zero, at(each), U(1)) != 1:
            return ctypes.get_errno()
    return 0


def brk(page):
    number = {{"x86_64": 12, "aarch64": 214}}[os.uname().machine]
    here = START + page * PAGE
    return 0 if libc.syscall(number, U(here)) == here else errno.ENOMEM


def heap(page):
    for field in (6, 7, 6):
        result = libc.prctl(35, U(field), at(page), U(0), U(0))
    return code(result)


def limit(room):
    global most
    most = len(shape("self")) + room
    return 0


def limited(how):
    """Make a call while vm.max_map_count limits the VMAs of the arena to ``most``."""
    if most is None:
        return how()
    with open("/proc/sys/vm/max_map_count", "r+b", buffering=0) as setting:
        usual = setting.read()
        with open("/proc/self/maps") as maps:
            others = sum("[vsyscall]" not in line for line in maps)
        others -= len(shape("self"))
        try:
            os.pwrite(setting.fileno(), b"%d" % max(0, others + most), 0)
            return how()
        finally:
            os.pwrite(setting.fileno(), usual, 0)


# The process, the step as text, and how to do it: a call to make, the number of the
# child to fork, or None for exit.
STEPS = [
{steps}
]
EXPECTED_CODE = {code}
EXPECTED_MAPS = {expected}
WHOSE_MAPS = {who}
NEEDS_ROOT = {root}

pids = memoryview(mmap.mmap(-1, PAGE)).cast("q")
pipes = [os.pipe() for _ in range(4)]
parents = {{}}
# How many VMAs the arena may have, if the trace sets a limit.
most = None


def pass_on(who, index):
    os.write(pipes[who][1], struct.pack("=i", index))


def wait(me):
    (index,) = struct.unpack("=i", os.read(pipes[me][0], 4))
    if index > len(STEPS):
        os._exit(pids[8])
    if index < 0:
        # Sent by a child that exits: reap it.
        os.wait()
    return abs(index)


def shape(pid):
    found = []
    with open(f"/proc/{{pid}}/maps") as maps:
        for line in maps:
            start, end = (int(n, 16) for n in line.split()[0].split("-"))
            if START <= start < START + {pages} * PAGE:
                path = line.rstrip("\\n")[73:].replace(file.name, "/file")
                where = (start - START) // PAGE, (end - START) // PAGE
                found.append((*where, line.split()[1], path))
    return found


def check(last):
    print("answered", errno.errorcode.get(last, last), end=", ")
    print("expected", errno.errorcode.get(EXPECTED_CODE, EXPECTED_CODE))
    if last != EXPECTED_CODE:
        return 1
    if EXPECTED_MAPS is None:
        print("cannot be decided here: look at the kernel's log")
        return 2
    found = shape(pids[WHOSE_MAPS]) if pids[WHOSE_MAPS] else []
    for what, entries in (("expected", EXPECTED_MAPS), ("found", found)):
        print(what)
        for entry in entries:
            print("   ", *entry)
    return int(found != EXPECTED_MAPS)


if NEEDS_ROOT and os.geteuid():
    print("cannot be decided here: moving the heap and limiting VMAs needs root")
    sys.exit(2)
# If one of the processes dies, the others must not wait for ever.
signal.alarm(60)
me, index, last = 0, 0, 0
pids[0] = os.getpid()
while index < len(STEPS):
    who, what, how = STEPS[index]
    if who != me:
        # If no step of this process comes back, a child has exited.
        last = 0
        pass_on(who, index)
        index = wait(me)
        continue
    print(f"{{me}}: {{what}}", flush=True)
    index += 1
    if how is None:
        pids[me] = 0
        pass_on(parents[me], -index)
        os._exit(0)
    if isinstance(how, int):
        parents[how] = me
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            me = how
            index = wait(me)
        else:
            pids[how] = pid
        last = 0
    else:
        last = limited(how)
pids[8] = check(last)
sys.stdout.flush()
for who in range(4):
    if who != me and pids[who]:
        pass_on(who, len(STEPS) + 1)
if me == 0:
    sys.exit(pids[8])
'''


def render_reproducer(
    divergence: Divergence,
    steps: Sequence[Step],
    *,
    kernel: Kernel,
    pages: int,
    release: str,
) -> str:
    """The program that executes ``steps`` and reports whether the last one diverges.

    It replaces exec by exit: both remove the whole arena.
    """
    decided = divergence.kind in ("outcome", "content", "shape")
    return _PROGRAM.format(
        headline=_plain(divergence.headline),
        kernel=_plain(release),
        start=kernel.start,
        page=PAGE,
        pages=pages,
        file_pages=FILE_PAGES,
        steps="\n".join(f"    {_step(step)}," for step in steps),
        code=divergence.expected_code,
        expected=_maps(divergence.expected) if decided else "None",
        who=divergence.who,
        root=any(isinstance(step.op, Heap | Limit) for step in steps),
    )


def _plain(text: str) -> str:
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)


def _maps(shown: Sequence[Shown]) -> str:
    rows = [(each.start, each.end, each.perms, each.path) for each in shown]
    return "[\n" + "".join(f"    {row!r},\n" for row in rows) + "]"


def _step(step: Step) -> str:
    return f"({step.who}, {str(step)!r}, {_how(step.op)})"


def _how(op: Op) -> str:
    match op:
        case Fork(child):
            return str(child)
        case Exit() | Exec():
            return "None"
        case SetName(page, length, name, offset, edge, attr):
            if name is Pointer.NULL:
                text = "None"
            elif name is Pointer.BAD:
                text = "ctypes.c_void_p(16)"
            else:
                text = repr(name.encode("latin-1"))
            return f"lambda: name({page}, {offset}, {length}, {attr}, {text}, {edge})"
        case Write(page, pages):
            return f"lambda: write({page}, {pages})"
        case Heap(page):
            return f"lambda: heap({page})"
        case Break(page):
            return f"lambda: brk({page})"
        case Limit(room):
            return f"lambda: limit({room})"
    return f"lambda: code(libc.{_libc_call(op)})"


def _libc_call(op: Op) -> str:
    match op:
        case Map():
            return _mmap(op)
        case Unmap(page, pages):
            return f"munmap(at({page}), U({pages} * PAGE))"
        case Protect(page, pages, prot):
            return f"mprotect(at({page}), U({pages} * PAGE), {prot})"
        case Remap(page, pages, new, to, keep):
            flags = 0 if to is None else 7 if keep else 3
            return (
                f"mremap(at({page}), U({pages} * PAGE), U({new} * PAGE), {flags}, "
                f"at({to or 0}))"
            )
        case Advise(page, pages, advice):
            return f"madvise(at({page}), U({pages} * PAGE), {advice.value})"
        case Lock(page, pages):
            return f"mlock(at({page}), U({pages} * PAGE))"
        case Unlock(page, pages):
            return f"munlock(at({page}), U({pages} * PAGE))"
    raise AssertionError(f"this operation is not one call of libc: {op}")


def _mmap(op: Map) -> str:
    flags = 0x10 if op.replace else 0x100000
    flags |= 0x4000 if op.noreserve else 0
    flags |= 1 if op.memory in (Memory.SHARED, Memory.MEMFD, Memory.FILE) else 2
    fd, offset = "-1", "0"
    if op.memory in (Memory.PRIVATE, Memory.SHARED):
        flags |= 0x20
    else:
        memfd = op.memory in (Memory.MEMFD, Memory.MEMFD_PRIVATE)
        fd, offset = ("memfd" if memfd else "file.fileno()"), f"{op.from_page} * PAGE"
    return (
        f"mmap(at({op.page}), U({op.pages} * PAGE), {op.prot}, {flags:#x}, {fd}, "
        f"U({offset}))"
    )
