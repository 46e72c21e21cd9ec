"""Finds the first step of a trace where the kernel and the model differ.

The model executes each step. The kernel's errno and maps are compared with the
model's. Usually the VMAs must have exactly the same shape. Where written memory may
or may not have merged, only the content must be equal: the model then adopts the
merges that the kernel made.
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

# From this many lines on, parsing them together is faster.
_MANY = 32


@dataclass(frozen=True, slots=True)
class Kernel:
    """The facts about the kernel that played a trace which the comparison needs.

    ``start`` is the address of the arena, ``file`` the path of the mapped file.
    """

    behaviour: Behaviour
    start: int
    file: str

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "Kernel":
        """Parse the executor's description of the kernel. Raises RecordError."""
        known = {field.name for field in fields(Behaviour)}
        try:
            # None: the probe was not permitted. Then no trace has such steps either.
            probed = {k: v for k, v in described["behaviour"].items() if v is not None}
            if not known.issuperset(probed) or not all(
                type(value) is bool for value in probed.values()
            ):
                raise ValueError(
                    f"the fields of behaviour must be booleans out of {sorted(known)}"
                )
            start, file = described["start"], described["file"]
            if type(start) is not int or type(file) is not str:
                raise ValueError("start must be a number and file a path")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"not the description of a kernel: {error}"
            raise RecordError(repr(described), why) from None
        return cls(Behaviour(**probed), start, file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """One difference between kernel and model: the step and both answers.

    ``kind`` is one of

    outcome: another errno. content: other memory or names. shape: the same memory
    in other VMAs. complaint: the kernel's log has a warning. died: a process of the
    trace, or the guest, ended early. probe: before the first step, a probe showed
    that the kernel does not behave as its base does.

    ``who`` is the number of the process whose maps differ.
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
        """The operation at which kernel and model differ, or "probe"."""
        return "probe" if self.kind == "probe" else self.step.word

    @property
    def headline(self) -> str:
        """The divergence in one line."""
        if self.kind == "probe":
            return f"before the first step, probe: {self.words}"
        what = {
            "outcome": f"the kernel answered {_code(self.seen_code)}, "
            f"expected {_code(self.expected_code)}",
            "content": f"process {self.who} has other mappings or names than expected",
            "shape": f"process {self.who} has the expected memory, but in other VMAs",
            "complaint": f"the kernel complained: {self.words}",
            "died": self.words,
        }[self.kind]
        return f"step {self.index}, {self.step.word}: {what}"


def _code(code: int) -> str:
    return errno.errorcode.get(code, str(code)) if code else "0"


class TraceChecker:
    """Compares one trace with the model, step by step.

    ``checked`` counts the steps that were compared; ``by_content`` counts those
    where only the content of the maps had to be equal, not the shape.
    """

    def __init__(
        self, steps: Sequence[Step], kernel: Kernel, store: NameStore | None = None
    ) -> None:
        self.model = Model(kernel.behaviour, store)
        self.checked = 0
        self.by_content = 0
        self._steps = steps
        self._kernel = kernel
        self._lines: dict[int, list[str]] = {0: []}
        self._parsed: dict[str, Shown] = {}
        self._settled: dict[int, list[int]] = {}
        self._files = (kernel.file, f"{kernel.file} (deleted)")

    def check(self, seen: Seen) -> Divergence | None:
        """Compare what the next step did; the divergence, or None if all is equal.

        Raises RecordError for an impossible observation.
        """
        if self.checked >= len(self._steps):
            raise RecordError(
                repr(seen)[:200], "the trace has fewer steps than observations"
            )
        step = self._steps[self.checked]
        code = self.model.apply(step)
        self.checked += 1
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
                raise RecordError(
                    repr(change)[:200], "more lines are kept than there were"
                )
            self._lines[change.who] = [
                *old[: change.before], *change.lines,
                *old[len(old) - change.after :],
            ]  # fmt: skip
        if isinstance(step.op, Exec):
            left = self._lines.pop(step.who, [])
            if left and changes and any(c.who == step.who and c.lines for c in changes):
                return self._divergence(
                    "content", step.who, words="a name or an arena survived execve"
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
        elif len(lines) >= max(_MANY, 2 * len(self._parsed)) and self._renders_as(
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
            self._settled[self.checked - 1] = sorted(merged)
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

    def _renders_as(self, who: int, lines: list[str]) -> bool:
        """Whether the model's VMAs, written as maps, are exactly these lines.

        This is faster than parsing the lines. False means: parse and compare.
        """
        written = []
        for start, end, perms, offset, path in self.model.shown(who):
            if offset or path[:1] == "/" or path.startswith("[anon_shmem:"):
                # The model has no device and inode numbers.
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
        """Parse many lines at once, as ``_parse`` would, but faster.

        None if any line is unusual: then parse each of them.
        """
        try:
            table = parse_columns(("\n".join(lines) + "\n").encode("latin-1"))
        except (MapsFormatError, UnicodeEncodeError):
            return None
        edges = (table.starts, table.ends)
        starts, ends = ([edge - self._kernel.start for edge in e] for e in edges)
        offsets = [header.offset for header in table.headers]
        bits = functools.reduce(operator.or_, itertools.chain(starts, ends, offsets))
        if len(starts) != len(lines) or starts[0] < 0 or bits % PAGE:
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
            raise RecordError(line, f"not a line of maps: {error}") from None
        start = entry.start - self._kernel.start
        end = entry.end - self._kernel.start
        if start % PAGE or end % PAGE or entry.offset % PAGE or start < 0:
            raise RecordError(line, "its range or offset is not whole arena pages")
        return Shown(
            start // PAGE, end // PAGE, entry.perms, entry.offset // PAGE,
            self._path(entry.pathname),
        )  # fmt: skip

    def _path(self, pathname: bytes) -> str:
        path = pathname.decode("latin-1")
        return "/file" if path in self._files else path

    def differs_from(self, expected: Mapping[str, bool]) -> Divergence | None:
        """The divergence if a probe's answer is not the expected one, else None."""
        for name, wanted in expected.items():
            seen = getattr(self._kernel.behaviour, name)
            if seen != wanted:
                words = f"{name} is {seen}, a kernel of this base should have {wanted}"
                return Divergence(
                    kind="probe", index=0, step=self._steps[0], who=0, words=words
                )
        return None

    def died(self, words: str) -> Divergence:
        """The divergence of a trace that ended early, for the reason ``words``."""
        index = min(self.checked, len(self._steps) - 1)
        step = self._steps[index]
        return Divergence(
            kind="died", index=index, step=step, who=step.who, words=words,
            before=self._shown_before(index, step.who),
        )  # fmt: skip

    def _divergence(self, kind: str, who: int, **more: Any) -> Divergence:
        index = self.checked - 1
        return Divergence(
            kind=kind, index=index, step=self._steps[index], who=who,
            before=self._shown_before(index, who), **more,
        )  # fmt: skip

    def _shown_before(self, index: int, who: int) -> tuple[Shown, ...]:
        # Needed at most once per trace: execute the steps again instead of keeping
        # a copy of the maps after every step.
        model = Model(self._kernel.behaviour)
        for at, step in enumerate(self._steps[:index]):
            model.apply(step)
            if at in self._settled:
                model.mms[step.who].settle(self._settled[at])
        # Before the fork the child does not exist: show its parent instead.
        who = who if who in model.mms else self._steps[index].who
        return tuple(model.shown(who)) if who in model.mms else ()


def _contents(shown: Sequence[Shown]) -> list[Shown]:
    """The same memory, with neighbours of equal content joined."""
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
