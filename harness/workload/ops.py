"""The operations of a trace, as data.

An operation uses page numbers of an arena, never addresses, so a trace means the same
on every kernel. A step is an operation and the number of the process that executes it.
Process 0 starts the trace; ``Fork`` gives the other processes their numbers. In JSON a
step is a list: the operation's word, the process, the fields in order.
"""

import types
import typing
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from harness.errors import UsageError

PAGE = 4096
MOST_PAGES = 1 << 17
# The length of the memfd and of the file; no trace reaches their ends.
FILE_PAGES = 1 << 20
# The most processes of a trace that are alive at the same time.
MOST_PROCESSES = 4


class Memory(Enum):
    """The kinds of memory that a trace can map."""

    PRIVATE = "private"
    SHARED = "shared"
    MEMFD = "memfd"
    MEMFD_PRIVATE = "memfd-private"
    FILE = "file"
    FILE_PRIVATE = "file-private"


class Advice(Enum):
    """The advice values of madvise that change a VMA's flags or contents."""

    NORMAL = 0
    RANDOM = 1
    SEQUENTIAL = 2
    DONTNEED = 4
    DONTFORK = 10
    DOFORK = 11
    DONTDUMP = 16
    DODUMP = 17
    WIPEONFORK = 18
    KEEPONFORK = 19


class Pointer(Enum):
    """A name argument that is not a string: NULL, or an unmapped address."""

    NULL = "null"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class SetName:
    """prctl(PR_SET_VMA, ``attr``, page's address + ``offset``, ``length``, name).

    ``offset`` and ``length`` are in bytes. A name is bytes, decoded as latin-1. With
    ``edge`` the name has no NUL byte and ends at the end of its page; the next page
    cannot be read.
    """

    page: int
    length: int
    name: str | Pointer
    offset: int = 0
    edge: bool = False
    attr: int = 0


@dataclass(frozen=True, slots=True)
class Map:
    """mmap at a page: MAP_FIXED with ``replace``, else MAP_FIXED_NOREPLACE.

    ``prot`` is the sum of PROT_READ 1, PROT_WRITE 2 and PROT_EXEC 4. A file is mapped
    from its page ``from_page`` on.
    """

    page: int
    pages: int
    prot: int
    memory: Memory = Memory.PRIVATE
    noreserve: bool = False
    replace: bool = True
    from_page: int = 0


@dataclass(frozen=True, slots=True)
class Unmap:
    """munmap."""

    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Protect:
    """mprotect."""

    page: int
    pages: int
    prot: int


@dataclass(frozen=True, slots=True)
class Remap:
    """mremap: moves to page ``to`` (MREMAP_FIXED), or stays in place if it is None.

    ``keep`` is MREMAP_DONTUNMAP.
    """

    page: int
    pages: int
    new_pages: int
    to: int | None = None
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Advise:
    """madvise."""

    page: int
    pages: int
    advice: Advice


@dataclass(frozen=True, slots=True)
class Lock:
    """mlock."""

    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Unlock:
    """munlock."""

    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Write:
    """Write a byte to each page in order; stop where that fails (EFAULT)."""

    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Heap:
    """Move the heap: an empty heap begins at a page."""

    page: int


@dataclass(frozen=True, slots=True)
class Break:
    """brk: set the break to a page."""

    page: int


@dataclass(frozen=True, slots=True)
class Limit:
    """Set vm.max_map_count to the present number of VMAs plus ``room``."""

    room: int


@dataclass(frozen=True, slots=True)
class Fork:
    """fork; the child is process ``child``."""

    child: int


@dataclass(frozen=True, slots=True)
class Exec:
    """execve of another program, which then exits."""


@dataclass(frozen=True, slots=True)
class Exit:
    """exit; the parent waits for the process."""


Op = (
    SetName | Map | Unmap | Protect | Remap | Advise | Lock | Unlock | Write | Heap
    | Break | Limit | Fork | Exec | Exit
)  # fmt: skip

# The word of each operation in traces and messages.
WORDS: dict[type[Op], str] = {
    SetName: "set_name", Map: "mmap", Unmap: "munmap", Protect: "mprotect",
    Remap: "mremap", Advise: "madvise", Lock: "mlock", Unlock: "munlock",
    Write: "write", Heap: "heap", Break: "brk", Limit: "limit", Fork: "fork",
    Exec: "exec", Exit: "exit",
}  # fmt: skip
_CLASSES: dict[str, type[Op]] = {word: kind for kind, word in WORDS.items()}


@dataclass(frozen=True, slots=True)
class Step:
    """An operation and the process that does it."""

    who: int
    op: Op

    @property
    def word(self) -> str:
        """The operation's word."""
        return WORDS[type(self.op)]

    def __str__(self) -> str:
        """The operation as a call, without arguments that have their default."""
        arguments = []
        for field in fields(self.op):
            value = getattr(self.op, field.name)
            if value != field.default:
                shown = value.value if isinstance(value, Enum) else repr(value)
                arguments.append(f"{field.name}={shown}")
        return f"{self.word}({', '.join(arguments)})"


def render_step(step: Step) -> list[Any]:
    """The step as JSON values; default values at its end are left out."""
    values: list[Any] = []
    needed = 0
    for field in fields(step.op):
        value = getattr(step.op, field.name)
        values.append(value.value if isinstance(value, Enum) else value)
        if isinstance(value, Pointer):
            values[-1] = [value.value]
        if value != field.default:
            needed = len(values)
    return [step.word, step.who, *values[:needed]]


def parse_step(data: Any) -> Step:
    """The inverse of ``render_step``. Raises UsageError for anything else."""
    if not isinstance(data, list) or len(data) < 2 or type(data[0]) is not str:
        raise UsageError(f"not a step of a trace: {data!r:.200}")
    word, who, *values = data
    kind = _CLASSES.get(word)
    if kind is None:
        raise UsageError(f"unknown operation {word!r:.200}")
    known = fields(kind)
    if (
        type(who) is not int
        or not 0 <= who < MOST_PROCESSES
        or len(values) > len(known)
    ):
        raise UsageError(f"not a step of a trace: {data!r:.200}")
    hints = _HINTS[kind]
    try:
        made = {
            field.name: _value(value, hints[field.name])
            for field, value in zip(known, values, strict=False)
        }
        return Step(who, kind(**made))
    except (TypeError, ValueError) as error:
        raise UsageError(f"not a step of a trace: {data!r:.200}: {error}") from None


_HINTS = {kind: typing.get_type_hints(kind) for kind in WORDS}


def _value(value: Any, hint: Any) -> Any:
    if hint == str | Pointer:
        if isinstance(value, list) and len(value) == 1:
            return Pointer(value[0])
        hint = str
    if isinstance(hint, type) and issubclass(hint, Enum):
        made = hint(value)
        if type(value) is not type(made.value):
            raise TypeError(f"expected {made.value!r}, not {value!r:.100}")
        return made
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if type(value) not in allowed:
        raise TypeError(f"expected {hint}, not {value!r:.100}")
    return value


def check_steps(steps: list[Step], pages: int) -> None:
    """Raise UsageError for a trace that cannot be played in an arena of ``pages``.

    Operations stay inside the arena. A step's process is alive. A process exits after
    its children, and process 0 never. brk needs a heap in the arena. A trace that
    limits VMAs writes no memory: only the kernel knows whether written memory merges,
    and so how many VMAs there are.
    """
    if not 1 <= pages <= MOST_PAGES:
        raise UsageError(f"an arena has 1 to {MOST_PAGES} pages, not {pages}")
    kinds = {type(step.op) for step in steps}
    if Limit in kinds and kinds & {Write, Lock, Fork}:
        raise UsageError("a trace that limits VMAs can neither write, lock nor fork")
    parents: dict[int, int | None] = {0: None}
    # The processes with a heap in the arena; in others brk moves the interpreter's.
    heaps: set[int] = set()
    for index, step in enumerate(steps):
        if isinstance(step.op, Heap):
            heaps.add(step.who)
        if isinstance(step.op, Break) and step.who not in heaps:
            raise UsageError(f"step {index}: brk needs an earlier heap step")
        why = _fault(step, pages, parents)
        if why:
            raise UsageError(f"step {index} ({step.word}): {why}")
        if isinstance(step.op, Fork):
            parents[step.op.child] = step.who
            if step.who in heaps:
                heaps.add(step.op.child)
        elif isinstance(step.op, Exit | Exec):
            del parents[step.who]
            heaps.discard(step.who)


def _fault(step: Step, pages: int, parents: dict[int, int | None]) -> str:
    op = step.op
    if step.who not in parents:
        return f"process {step.who} is not alive"
    match op:
        case Fork(child) if child in parents or not 0 < child < MOST_PROCESSES:
            return f"no new process can have the number {child}"
        case Exit() | Exec() if step.who == 0 or step.who in parents.values():
            return "process 0 cannot exit, and no process can exit before its children"
        case SetName(page, length, name, offset):
            return _name_fault(page * PAGE + offset, length, name, pages, op)
        case Limit(room) if not -100 <= room <= 2 * MOST_PAGES:
            return f"room must be from -100 to {2 * MOST_PAGES}"
        case Map(from_page=first) if not 0 <= first <= pages:
            return f"from_page must be from 0 to {pages}"
        case Heap(page) | Break(page) if not 0 <= page < pages:
            return "outside the arena"
        case Fork() | Exec() | Exit() | Limit() | Heap() | Break():
            return ""
    if isinstance(op, Map | Protect) and not 0 <= op.prot <= 7:
        return "prot must be from 0 to 7"
    reach = op.page + op.pages
    if isinstance(op, Remap):
        if op.new_pages < 1 or (op.to is not None and op.to < 0):
            return "outside the arena"
        if op.keep and op.to is None:
            return "keep needs a destination (to)"
        at = op.page if op.to is None else op.to
        reach = max(reach, at + op.new_pages)
    if op.pages < 1 or op.page < 0 or reach > pages:
        return "outside the arena"
    return ""


def _name_fault(
    start: int, length: int, name: str | Pointer, pages: int, op: SetName
) -> str:
    if not 0 <= op.offset < PAGE or not 0 <= op.page <= pages:
        return "outside the arena"
    if not 0 <= op.attr < 1 << 64:
        return "attr must have at most 64 bits"
    # A length near 2^64 overflows. A length between that and the arena's would name
    # memory of the interpreter.
    wraps = (1 << 64) - PAGE * (op.page + 1) <= length < 1 << 64
    if not wraps and not 0 <= length <= pages * PAGE - start:
        return "outside the arena"
    if isinstance(name, str) and (len(name) > PAGE - 1 or not _is_text(name)):
        return f"a name must have fewer than {PAGE} bytes, each from 1 to 255"
    return ""


def _is_text(name: str) -> bool:
    return all(0 < ord(char) < 256 for char in name)
