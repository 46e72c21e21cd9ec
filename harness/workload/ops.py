"""Operations on memory, as data: what a trace is made of.

Every operation names pages of an arena, never addresses, so that a trace says
the same on every kernel. A step is an operation and the process that does it;
process 0 starts the trace, ``Fork`` names the others. One step is one list in
JSON: the operation's word, the process, its fields in order.
"""

import types
import typing
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from harness.errors import UsageError

PAGE = 4096
MOST_PAGES = 1 << 17
# The memfd and the file that are mapped; no trace gets to their ends.
FILE_PAGES = 1 << 20
# Processes of a trace that can be alive at once.
MOST_PROCESSES = 4


class Memory(Enum):
    """What is mapped."""

    PRIVATE = "private"
    SHARED = "shared"
    MEMFD = "memfd"
    MEMFD_PRIVATE = "memfd-private"
    FILE = "file"
    FILE_PRIVATE = "file-private"


class Advice(Enum):
    """Advice of madvise that changes flags or contents, by its value."""

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
    """A name that is no string: NULL, or an address where nothing is."""

    NULL = "null"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class SetName:
    """prctl(PR_SET_VMA, ``attr``, page's address + ``offset``, ``length``, name).

    ``offset`` and ``length`` are in bytes. A name is bytes in latin-1; with
    ``edge`` it has no NUL byte and ends where its page does, before a hole.
    """

    page: int
    length: int
    name: str | Pointer
    offset: int = 0
    edge: bool = False
    attr: int = 0


@dataclass(frozen=True, slots=True)
class Map:
    """mmap at a page: over what is there, or (not ``replace``) only where nothing is.

    ``prot`` is of PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4; a file is mapped from
    its page ``from_page``.
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
    """mremap: in place without ``to``, else moved there (MREMAP_FIXED).

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
    """A byte written to each page, in order, until one cannot be (EFAULT)."""

    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Heap:
    """An empty heap is begun at a page."""

    page: int


@dataclass(frozen=True, slots=True)
class Break:
    """brk to a page."""

    page: int


@dataclass(frozen=True, slots=True)
class Limit:
    """vm.max_map_count is made what the process has, and ``room`` more or less."""

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
    """exit, and the parent has waited."""


Op = (
    SetName | Map | Unmap | Protect | Remap | Advise | Lock | Unlock | Write | Heap
    | Break | Limit | Fork | Exec | Exit
)  # fmt: skip

# The word of each operation in a trace, and in what is said of it.
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
        """What the operation is called."""
        return WORDS[type(self.op)]

    def __str__(self) -> str:
        """The operation as a call, without what is as usual."""
        said = []
        for field in fields(self.op):
            value = getattr(self.op, field.name)
            if value != field.default:
                shown = value.value if isinstance(value, Enum) else repr(value)
                said.append(f"{field.name}={shown}")
        return f"{self.word}({', '.join(said)})"


def render_step(step: Step) -> list[Any]:
    """A step as JSON; defaults at its end are left out."""
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
    """The inverse. Raises UsageError for anything ``render_step`` does not make."""
    if not isinstance(data, list) or len(data) < 2 or type(data[0]) is not str:
        raise UsageError(f"not a step of a trace: {data!r:.200}")
    word, who, *values = data
    kind = _CLASSES.get(word)
    if kind is None:
        raise UsageError(f"no operation is called {word!r:.200}")
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
            raise TypeError(f"{value!r:.100} where {made.value!r} is meant")
        return made
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if type(value) not in allowed:
        raise TypeError(f"{value!r:.100} where {hint} belongs")
    return value


def check_steps(steps: list[Step], pages: int) -> None:
    """Raise UsageError for a trace that cannot be played in an arena of ``pages``.

    No operation may reach past the arena; who is named must be alive; an exit
    leaves no child behind, and process 0 stays; brk is for a heap that was begun
    in the arena. Where VMAs are limited nothing is written: whether written
    memory merges, and so whether there is room, only the kernel knows.
    """
    if not 1 <= pages <= MOST_PAGES:
        raise UsageError(f"an arena has 1 to {MOST_PAGES} pages, not {pages}")
    kinds = {type(step.op) for step in steps}
    if Limit in kinds and kinds & {Write, Lock, Fork}:
        raise UsageError("a trace that limits VMAs can neither write nor fork")
    parents: dict[int, int | None] = {0: None}
    # Who has a heap in the arena; another's break is the interpreter's own.
    heaps: set[int] = set()
    for index, step in enumerate(steps):
        if isinstance(step.op, Heap):
            heaps.add(step.who)
        if isinstance(step.op, Break) and step.who not in heaps:
            raise UsageError(f"step {index}: brk before there is a heap of ours")
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
            return f"there can be no new process {child}"
        case Exit() | Exec() if step.who == 0 or step.who in parents.values():
            return "the first process stays, and none leaves before its children"
        case SetName(page, length, name, offset):
            return _name_fault(page * PAGE + offset, length, name, pages, op)
        case Limit(room) if not -100 <= room <= 2 * MOST_PAGES:
            return f"a limit from 100 below to {2 * MOST_PAGES} above what there is"
        case Map(from_page=first) if not 0 <= first <= pages:
            return "the file is not that long"
        case Heap(page) | Break(page) if not 0 <= page < pages:
            return "outside the arena"
        case Fork() | Exec() | Exit() | Limit() | Heap() | Break():
            return ""
    if isinstance(op, Map | Protect) and not 0 <= op.prot <= 7:
        return "no such protection"
    reach = op.page + op.pages
    if isinstance(op, Remap):
        if op.new_pages < 1 or (op.to is not None and op.to < 0):
            return "outside the arena"
        if op.keep and op.to is None:
            return "what is kept must be told where to go"
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
        return "outside the arena"
    # A length near 2^64 wraps around; anything between would name the process.
    wraps = (1 << 64) - PAGE * (op.page + 1) <= length < 1 << 64
    if not wraps and not 0 <= length <= pages * PAGE - start:
        return "outside the arena"
    if isinstance(name, str) and (len(name) > PAGE - 1 or not _is_text(name)):
        return "a name is bytes 1 to 255, less than a page of them"
    return ""


def _is_text(name: str) -> bool:
    return all(0 < ord(char) < 256 for char in name)
