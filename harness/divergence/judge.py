"""The first step of a trace where the kernel and the model part.

The model answers each step, the kernel's answer and maps are compared with it.
Exact shape where the model stands behind it; where written memory may or may
not have merged, content: then the model takes over what the kernel did.
"""

import errno
import functools
import itertools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from harness.divergence.recording import Change, Seen
from harness.errors import MapsFormatError, RecordError
from harness.maps import WIDTH, parse_columns, parse_line
from harness.model import Behaviour, Model, NameStore, Shown
from harness.workload.ops import PAGE, Exec, Exit, Fork, Step

# Lines that are worth to be parsed together.
_MANY = 32


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a trace was played on, as far as judging needs it."""

    behaviour: Behaviour
    start: int
    file: str

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "Kernel":
        """From the player's description. Raises RecordError."""
        known = {field.name for field in fields(Behaviour)}
        try:
            # What could not be probed is not played either.
            told = {k: v for k, v in described["behaviour"].items() if v is not None}
            if not known.issuperset(told) or not all(
                type(value) is bool for value in told.values()
            ):
                raise ValueError(f"its behaviour is told by {sorted(known)}")
            start, file = described["start"], described["file"]
            if type(start) is not int or type(file) is not str:
                raise ValueError("start is a number, file a path")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(repr(described), f"no kernel: {error}") from None
        return cls(Behaviour(**told), start, file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Where kernel and model part: the step and both answers.

    ``kind`` is outcome, content, shape, complaint (of the kernel's log), died, or
    probe: the kernel does not do what its base does, which was seen before the
    first step. ``who`` is the process whose maps differ.
    """

    kind: str
    index: int
    step: Step
    who: int
    expected_code: int = 0
    seen_code: int = 0
    before: tuple[Shown, ...] = ()
    expected: tuple[Shown, ...] = ()
    seen: tuple[Shown, ...] = ()
    words: str = ""

    @property
    def word(self) -> str:
        """The operation that it was seen at."""
        return "probe" if self.kind == "probe" else self.step.word

    @property
    def headline(self) -> str:
        """The divergence in one line."""
        if self.kind == "probe":
            return f"before the first step, probe: {self.words}"
        what = {
            "outcome": f"the kernel answered {_code(self.seen_code)}, "
            f"expected {_code(self.expected_code)}",
            "content": f"process {self.who} has other memory than expected",
            "shape": f"process {self.who} has its memory in other VMAs than expected",
            "complaint": f"the kernel complained: {self.words}",
            "died": self.words,
        }[self.kind]
        return f"step {self.index}, {self.step.word}: {what}"


def _code(code: int) -> str:
    return errno.errorcode.get(code, str(code)) if code else "0"


class Judge:
    """Judges one trace, as its steps are seen."""

    def __init__(
        self, steps: Sequence[Step], kernel: Kernel, store: NameStore | None = None
    ) -> None:
        self.model = Model(kernel.behaviour, store)
        self.judged = 0
        self.by_content = 0
        self._steps = steps
        self._kernel = kernel
        self._lines: dict[int, list[str]] = {0: []}
        self._parsed: dict[str, Shown] = {}
        self._settled: dict[int, list[int]] = {}
        self._files = (kernel.file, f"{kernel.file} (deleted)")

    def take(self, seen: Seen) -> Divergence | None:
        """The next step as it was seen: where it diverges, if it does."""
        if self.judged >= len(self._steps):
            raise RecordError(repr(seen)[:200], "more was seen than there are steps")
        step = self._steps[self.judged]
        code = self.model.apply(step)
        self.judged += 1
        if seen.complaints:
            return self._divergence(
                "complaint", step.who, words="; ".join(seen.complaints)
            )
        if code != seen.code:
            return self._divergence(
                "outcome", step.who, expected_code=code, seen_code=seen.code,
                expected=self._model_shows(step.who),
            )  # fmt: skip
        if not seen.looked:
            return None
        return self._compare_all(step, seen.changes)

    def _compare_all(self, step: Step, changes: Sequence[Change]) -> Divergence | None:
        for change in changes:
            old = self._lines.get(change.who, [])
            if change.before + change.after > len(old):
                raise RecordError(repr(change)[:200], "more lines stay than there were")
            self._lines[change.who] = [
                *old[: change.before], *change.lines,
                *old[len(old) - change.after :],
            ]  # fmt: skip
        if isinstance(step.op, Exec):
            left = self._lines.pop(step.who, [])
            if left and changes and any(c.who == step.who and c.lines for c in changes):
                return self._divergence(
                    "content", step.who, words="a name or an arena outlived execve"
                )
        elif isinstance(step.op, Exit):
            self._lines.pop(step.who, None)
        concerned = {step.who, *(change.who for change in changes)}
        if isinstance(step.op, Fork):
            concerned.add(step.op.child)
        for who in sorted(concerned & self.model.mms.keys()):
            found = self._compare(who, step)
            if found is not None:
                return found
        return None

    def _compare(self, who: int, step: Step) -> Divergence | None:
        lines = self._lines.get(who, [])
        maybe = self.model.mms[who].maybe if who == step.who else set()
        if maybe:
            self.by_content += 1
        elif len(lines) >= max(_MANY, 2 * len(self._parsed)) and self._wrote(
            who, lines
        ):
            return None
        expected = list(self.model.shown(who))
        seen = self._shown(lines)
        if expected == seen:
            return None
        if maybe:
            merged = maybe - {shown.start for shown in seen}
            merged &= {shown.start for shown in expected}
            self.model.mms[who].settle(sorted(merged))
            self._settled[self.judged - 1] = sorted(merged)
            expected = list(self.model.shown(who))
            if expected == seen:
                return None
        same = _contents(expected) == _contents(seen)
        return self._divergence(
            "shape" if same else "content",
            who,
            expected=tuple(expected),
            seen=tuple(seen),
        )

    def _wrote(self, who: int, lines: list[str]) -> bool:
        """Whether lines are surely what the model shows: sooner than to parse them."""
        written = []
        for start, end, perms, offset, path in self.model.shown(who):
            if offset or path[:1] == "/" or path.startswith("[anon_shmem:"):
                # The model knows neither device nor inode.
                return False
            start = self._kernel.start + start * PAGE
            end = self._kernel.start + end * PAGE
            line = f"{start:08x}-{end:08x} {perms} 00000000 00:00 0 "
            written.append(line.ljust(WIDTH + 1) + path if path else line)
        return written == lines

    def _model_shows(self, who: int) -> tuple[Shown, ...]:
        return tuple(self.model.shown(who)) if who in self.model.mms else ()

    def _shown(self, lines: list[str]) -> list[Shown]:
        parsed = self._parsed
        try:
            return [parsed[line] for line in lines]
        except KeyError:
            new = [line for line in lines if line not in parsed]
        shown = self._parse_all(new) if len(new) >= _MANY else None
        parsed.update(zip(new, shown or map(self._parse, new), strict=True))
        return [parsed[line] for line in lines]

    def _parse_all(self, lines: Sequence[str]) -> list[Shown] | None:
        """What ``_parse`` makes of each, sooner; None in doubt."""
        try:
            table = parse_columns(("\n".join(lines) + "\n").encode("latin-1"))
        except (MapsFormatError, UnicodeEncodeError):
            return None
        edges = (table.starts, table.ends)
        starts, ends = ([edge - self._kernel.start for edge in e] for e in edges)
        offsets = [header.offset for header in table.headers]
        odd = functools.reduce(operator.or_, itertools.chain(starts, ends, offsets))
        if len(starts) != len(lines) or starts[0] < 0 or odd % PAGE:
            return None
        perms = [header.perms for header in table.headers]
        return list(
            map(
                Shown,
                [start // PAGE for start in starts],
                [end // PAGE for end in ends],
                [perms[which] for which in table.which],
                [offsets[which] // PAGE for which in table.which],
                [self._path(path) for path in table.pathnames],
            )
        )

    def _parse(self, line: str) -> Shown:
        try:
            entry = parse_line(line.encode("latin-1"))
        except (MapsFormatError, UnicodeEncodeError) as error:
            raise RecordError(line, f"no line of maps: {error}") from None
        start = entry.start - self._kernel.start
        end = entry.end - self._kernel.start
        if start % PAGE or end % PAGE or entry.offset % PAGE or start < 0:
            raise RecordError(line, "it is not of the arena's pages")
        return Shown(
            start // PAGE, end // PAGE, entry.perms, entry.offset // PAGE,
            self._path(entry.pathname),
        )  # fmt: skip

    def _path(self, pathname: bytes) -> str:
        path = pathname.decode("latin-1")
        return "/file" if path in self._files else path

    def differs_from(self, expected: Mapping[str, bool]) -> Divergence | None:
        """Whether the kernel was probed to do otherwise than it should."""
        for name, wanted in expected.items():
            seen = getattr(self._kernel.behaviour, name)
            if seen != wanted:
                words = f"{name} is {seen}, expected {wanted} of a kernel of this base"
                return Divergence(
                    kind="probe", index=0, step=self._steps[0], who=0, words=words
                )
        return None

    def died(self, words: str) -> Divergence:
        """That nothing more is to come of the trace."""
        index = min(self.judged, len(self._steps) - 1)
        step = self._steps[index]
        return Divergence(
            kind="died", index=index, step=step, who=step.who, words=words,
            before=self._shown_before(index, step.who),
        )  # fmt: skip

    def _divergence(self, kind: str, who: int, **more: Any) -> Divergence:
        index = self.judged - 1
        return Divergence(
            kind=kind, index=index, step=self._steps[index], who=who,
            before=self._shown_before(index, who), **more,
        )  # fmt: skip

    def _shown_before(self, index: int, who: int) -> tuple[Shown, ...]:
        # Once a trace, and long traces are long: done again rather than kept.
        model = Model(self._kernel.behaviour)
        for at, step in enumerate(self._steps[:index]):
            model.apply(step)
            if at in self._settled:
                model.mms[step.who].settle(self._settled[at])
        # A child that was not yet is as its parent.
        who = who if who in model.mms else self._steps[index].who
        return tuple(model.shown(who)) if who in model.mms else ()


def _contents(shown: Sequence[Shown]) -> list[Shown]:
    """The same memory in as few pieces as it can be in."""
    joined: list[Shown] = []
    for each in shown:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.end == each.start
            and (last.perms, last.path) == (each.perms, each.path)
            and (
                not each.path.startswith(("/", "[anon_shmem:"))
                or last.offset + last.end - last.start == each.offset
            )
        ):
            joined[-1] = last._replace(end=each.end)
        else:
            joined.append(each)
    return joined
