"""Traces for tests: drawn at random, and played by a kernel that is the model.

What that kernel writes has the shape of the player's own lines.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from harness.divergence import Kernel, Recording, parse_seen
from harness.maps import MapsEntry, render_line
from harness.model import Behaviour, Model, Shown
from harness.worker.executor import parse_executor_job
from harness.workload.ops import (
    PAGE,
    Advice,
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

START = 0x2000_0000
FILE = "/tmp/harness-test"
KERNEL = {
    "support": "supported", "reason": "", "release": "6.12.0-test", "version": "#1",
    "machine": "x86_64", "behaviour": {}, "start": START, "file": FILE,
}  # fmt: skip
HERE = Kernel(Behaviour(), START, FILE)


def ranges(pages: int) -> st.SearchStrategy[tuple[int, int]]:
    """A first page, and how many."""
    return st.tuples(st.integers(0, pages - 1), st.integers(1, pages)).map(
        lambda drawn: (drawn[0], min(drawn[1], pages - drawn[0]))
    )


_NAMES = st.sampled_from(
    ["a", "a", "a", "b", "b", "", "x" * 79, "x" * 80, "x" * 81, "[", "\x7f", "\xff"]
)
_PROTS = st.sampled_from([0, 1, 1, 3, 3, 3, 5, 7])


@st.composite
def set_names(draw: st.DrawFn, pages: int) -> SetName:
    """Mostly good ones of whole pages."""
    page, count = draw(ranges(pages))
    name: str | Pointer = draw(_NAMES)
    if draw(st.integers(0, 9)) > 1:
        return SetName(page, count * PAGE, name)
    name = draw(st.one_of(_NAMES, st.sampled_from(Pointer)))
    offset = draw(st.sampled_from([0, 0, 1, PAGE - 1]))
    most = count * PAGE - offset
    far = (1 << 64) - PAGE * (page + 1)
    length = draw(
        st.one_of(
            st.integers(0, most),
            st.sampled_from([most, 0, 1]),
            st.integers(far, (1 << 64) - 1),
        )
    )
    edge = isinstance(name, str) and draw(st.booleans())
    return SetName(
        page, length, name, offset, edge, draw(st.sampled_from([0, 0, 1, 1 << 32]))
    )


@st.composite
def maps(draw: st.DrawFn, pages: int) -> Map:
    """Every kind, private ones most often."""
    page, count = draw(ranges(pages))
    memory = draw(st.sampled_from([Memory.PRIVATE] * 4 + list(Memory)))
    of_file = memory not in (Memory.PRIVATE, Memory.SHARED)
    return Map(
        page, count, draw(_PROTS), memory, draw(st.booleans()),
        draw(st.sampled_from([True, True, False])),
        draw(st.sampled_from([0, page])) if of_file else 0,
    )  # fmt: skip


def _of_range(
    kind: Callable[..., Op], pages: int, *more: st.SearchStrategy[Any]
) -> st.SearchStrategy[Op]:
    return st.tuples(ranges(pages), *more).map(lambda got: kind(*got[0], *got[1:]))


def plain_ops(pages: int) -> st.SearchStrategy[Op]:
    """What one process does, without brk, limits and mremap."""
    return st.one_of(
        set_names(pages),
        set_names(pages),
        set_names(pages),
        maps(pages),
        maps(pages),
        _of_range(Unmap, pages),
        _of_range(Protect, pages, _PROTS),
        _of_range(Advise, pages, st.sampled_from(Advice)),
        _of_range(Lock, pages),
        _of_range(Unlock, pages),
        _of_range(Write, pages),
    )


@st.composite
def remaps(draw: st.DrawFn, pages: int, most: int = 4) -> Remap:
    """mremap of at most that many pages."""
    page, count = draw(ranges(pages))
    count = min(count, most)
    if draw(st.booleans()):
        to, room = draw(ranges(pages))
        keep = draw(st.booleans())
        return Remap(page, count, count if keep and count <= room else room, to, keep)
    return Remap(page, count, draw(st.integers(1, pages - page)))


def heap_ops(pages: int) -> st.SearchStrategy[Op]:
    """What begins and moves the break."""
    at = st.integers(0, pages - 1)
    return st.one_of(st.builds(Heap, at), st.builds(Break, at), st.builds(Break, at))


def steps(pages: int) -> st.SearchStrategy[Step]:
    """Any step that has a shape, whether it can be played or not."""
    ops = st.one_of(
        plain_ops(pages),
        remaps(pages),
        heap_ops(pages),
        st.builds(Limit, st.integers(-100, 1000)),
        st.builds(Fork, st.integers(1, 3)),
        st.just(Exit()),
        st.just(Exec()),
    )
    return st.builds(Step, st.integers(0, 3), ops)


# One value of JSON, whatever it means.
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["mmap", "set_name", "fork", "null", "a"]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


def line_of(shown: Shown) -> str:
    """A VMA as the line of maps that shows it."""
    path = shown.path.replace("/file", FILE) if shown.path == "/file" else shown.path
    return render_line(
        MapsEntry(
            start=START + shown.start * PAGE,
            end=START + shown.end * PAGE,
            perms=shown.perms,
            offset=shown.offset * PAGE,
            pathname=path.encode("latin-1"),
        )
    ).decode("latin-1")


def seen_of(model: Model, steps: Iterable[Step]) -> list[list[Any]]:
    """What the executor would write for each step if the kernel were the model."""
    known: dict[int, list[str]] = {0: []}
    seen = []
    for step in steps:
        code = model.apply(step)
        changes: list[list[Any]] = []
        if isinstance(step.op, Exit | Exec):
            del known[step.who]
        if isinstance(step.op, Exec):
            changes.append([step.who, 0, 0, []])
        for who in sorted(model.mms):
            lines = [line_of(shown) for shown in model.shown(who)]
            old = known.get(who)
            if lines != old:
                changes.append([who, *changed(old or [], lines)])
            known[who] = lines
        seen.append([code, changes])
    return seen


def changed(old: list[str], new: list[str]) -> tuple[int, int, list[str]]:
    """How many lines stay before and after, and what is between them."""
    before = 0
    while before < min(len(old), len(new)) and old[before] == new[before]:
        before += 1
    after = 0
    while (
        after < min(len(old), len(new)) - before and old[-1 - after] == new[-1 - after]
    ):
        after += 1
    return before, after, new[before : len(new) - after]


def recording_of(
    steps: Sequence[Step], model: Model | None = None, *, pages: int = 12
) -> Recording:
    """A trace as a kernel that is this model would have played it."""
    seen = seen_of(model or Model(), steps)
    return Recording(
        pages=pages,
        steps=tuple(steps),
        kernel=KERNEL,
        seen=tuple(parse_seen(json.loads(json.dumps(each))) for each in seen),
    )


def ruler(model: Model, who: int = 0, *, pages: int = 8) -> str:
    """A letter a page: a capital begins a VMA, ``.`` is a hole.

    ``o`` has no name, ``e`` an empty one, ``h`` is the heap, ``f`` is of a file;
    else it is the name's first letter.
    """
    row = ["."] * pages
    for shown in model.shown(who):
        kind, colon, name = shown.path.partition(":")
        letter = {"": "o", "[heap]": "h"}.get(shown.path, "f")
        if colon and kind.startswith("[anon"):
            letter = "e" if name == "]" else name[0]
        for page in range(shown.start, shown.end):
            row[page] = letter.upper() if page == shown.start else letter
    return "".join(row)


@dataclass(kw_only=True)
class ModelTarget:
    """In place of a target: a kernel that is a model, maybe a spoilt one.

    Output comes in pieces of ``piece`` bytes; ``before`` is called with the
    number of each trace before it is played, and may raise or return bytes to
    be written in its place.
    """

    model: Callable[[], Model] = Model
    before: Callable[[int], bytes | None] = lambda index: None
    piece: int = 1 << 16
    kernel: dict[str, Any] = field(default_factory=lambda: dict(KERNEL))
    status: int = 0
    jobs: list[bytes] = field(default_factory=list)

    def run_executor(
        self, job: bytes, on_output: Callable[[bytes], None], console: Path
    ) -> int:
        """As TraceTarget's."""

        def write(text: bytes) -> None:
            for at in range(0, len(text), self.piece):
                on_output(text[at : at + self.piece])

        self.jobs.append(job)
        write(json_line({"kernel": self.kernel}))
        traces = parse_executor_job(job).traces
        for index, trace in enumerate(traces):
            instead = self.before(index)
            if instead is not None:
                write(instead)
                return self.status
            seen = seen_of(self.model(), trace)
            # In two parts, as two processes would write it.
            half = len(seen) // 2
            for start, part in ((0, seen[:half]), (half, seen[half:])):
                if part:
                    write(json_line({"trace": index, "from": start, "seen": part}))
        write(json_line({"done": len(traces), "seconds": 0}))
        return self.status


def json_line(value: object) -> bytes:
    """A line as the executor writes it."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


class ForgetfulModel(Model):
    """A kernel that loses the names of what it copies at fork."""

    def apply(self, step: Step) -> int:
        """As the model, but for the child of a fork."""
        code = super().apply(step)
        if isinstance(step.op, Fork):
            for vma in self.mms[step.op.child].vmas:
                self.store.put(vma.name)
                vma.name = None
        return code
