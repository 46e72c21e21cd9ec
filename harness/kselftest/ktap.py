"""Reads and writes KTAP, the kernel's format of test results.

Source: Documentation/dev-tools/ktap.rst (KTAP version 1). The input is not trusted:
control characters are escaped, and a violation of the format is a fault of the
report. The format allows a report without a plan, but this reader does not: without
a plan, a report that ends early looks like a complete one.
"""

import re
from dataclasses import dataclass
from enum import Enum

from harness.host.programs import printable

_INDENT = "  "
_DEEPEST = 8
_VERSION = re.compile(r"KTAP version 1|TAP version 1[34]")
_PLAN = re.compile(r"1\.\.([0-9]{1,6})(?: +# *SKIP\b *(.*))?", re.IGNORECASE)
_RESULT = re.compile(r"(not )?ok ([0-9]{1,6})(?: ([^#]*))?(?:#(.*))?")
_BAIL_OUT = "Bail out!"


class Directive(Enum):
    """The directive after the hash sign of a result line."""

    SKIP = "SKIP"
    TODO = "TODO"
    XFAIL = "XFAIL"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"


class Outcome(Enum):
    """The outcome of a test; ``NEITHER`` if it was skipped or is known to fail."""

    PASS = "pass"
    FAIL = "fail"
    NEITHER = "neither"


_DIRECTIVES = {directive.value: directive for directive in Directive}
_OUTCOMES = {
    Directive.SKIP: Outcome.NEITHER,
    Directive.TODO: Outcome.NEITHER,
    Directive.XFAIL: Outcome.NEITHER,
    Directive.TIMEOUT: Outcome.FAIL,
    Directive.ERROR: Outcome.FAIL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one test.

    ``notes`` are the lines before the result line; ``subtests`` is the report of its
    subtests. ``remark`` is the text after the directive or, without one, after the
    hash sign.
    """

    ok: bool
    number: int
    name: str = ""
    directive: Directive | None = None
    remark: str = ""
    notes: tuple[str, ...] = ()
    subtests: "Report | None" = None

    @property
    def outcome(self) -> Outcome:
        """The outcome; a test whose subtests fail has failed."""
        if self.subtests is not None and self.subtests.outcome is Outcome.FAIL:
            return Outcome.FAIL
        if self.directive is not None:
            return _OUTCOMES[self.directive]
        return Outcome.PASS if self.ok else Outcome.FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The results in order; ``notes`` are the lines after the last one.

    ``plan`` is the announced number of results; ``skipped`` is the reason if it is 0.
    ``faults`` lists the violations of the format.
    """

    plan: int | None
    results: tuple[Result, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: str = ""
    faults: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The outcome; a pass needs a test that passed, and no fault or failed test."""
        outcomes = {result.outcome for result in self.results}
        if self.faults or Outcome.FAIL in outcomes:
            return Outcome.FAIL
        return Outcome.PASS if Outcome.PASS in outcomes else Outcome.NEITHER


def parse_ktap(output: bytes) -> Report:
    """Parse the output of a program. Never raises: errors are faults of the report.

    Diagnostics and lines that are not KTAP are kept as notes, with control characters
    escaped.
    """
    reader = _Reader()
    for line in output.decode(errors="backslashreplace").split("\n"):
        reader.take(printable(line))
    return reader.report()


def render_ktap(report: Report) -> str:
    """The report as KTAP; faults become notes.

    If the report has no faults, ``parse_ktap`` returns an equal report.
    """
    return "".join(f"{line}\n" for line in _report_lines(report, 0))


def render_opening(plan: int) -> str:
    """The first lines of a report whose results follow one by one."""
    return f"KTAP version 1\n1..{plan}\n"


def render_result(result: Result) -> str:
    """One result of the outermost report, with its notes and subtests."""
    return "".join(f"{line}\n" for line in _result_lines(result, 0))


def _report_lines(report: Report, depth: int) -> list[str]:
    lines = ["KTAP version 1"]
    if report.plan is not None:
        # A plan of 0 tests needs SKIP; without it, it is a fault.
        no_skip = report.plan > 0 or report.faults
        skip = "" if no_skip else f" # SKIP {report.skipped}".rstrip()
        lines.append(f"1..{report.plan}{skip}")
    lines = [_INDENT * depth + line for line in lines]
    for result in report.results:
        lines += _result_lines(result, depth)
    for note in (*report.notes, *(f"fault: {fault}" for fault in report.faults)):
        lines.append(f"{_INDENT * depth}# {note}")
    return lines


def _result_lines(result: Result, depth: int) -> list[str]:
    lines = [f"{_INDENT * depth}# {note}" for note in result.notes]
    if result.subtests is not None:
        lines += _report_lines(result.subtests, depth + 1)
    words = [f"{'' if result.ok else 'not '}ok {result.number}", result.name]
    if result.directive is not None or result.remark:
        words.append("#")
        words.append(result.directive.value if result.directive else "")
        words.append(result.remark)
    return [*lines, _INDENT * depth + " ".join(word for word in words if word)]


class _Open:
    # A report that is being read. Notes and subtests are kept until their result comes.

    def __init__(self) -> None:
        self.versions = 0
        self.plan: int | None = None
        self.skipped: str | None = None
        self.results: list[Result] = []
        self.notes: list[str] = []
        self.subtests: Report | None = None
        # A dictionary as an ordered set.
        self.faults: dict[str, None] = {}

    def fault(self, what: str) -> None:
        self.faults[what] = None

    def take_version(self) -> None:
        self.versions += 1
        if self.versions > 1:
            self.fault("a second version line")

    def take_plan(self, match: re.Match[str]) -> None:
        if self.plan is not None:
            self.fault("a second plan")
        if self.results or not self.versions:
            self.fault("the plan does not follow the version line")
        self.plan = int(match[1])
        self.skipped = match[2]

    def take_result(self, match: re.Match[str]) -> None:
        expected = len(self.results) + 1
        if int(match[2]) != expected:
            self.fault(f"a result has number {match[2]}, expected {expected}")
        if not self.versions:
            self.fault("a result before the version line")
        remark = (match[4] or "").strip()
        first, _, rest = remark.partition(" ")
        directive = _DIRECTIVES.get(first.upper())
        self.results.append(
            Result(
                ok=not match[1],
                number=int(match[2]),
                name=(match[3] or "").strip(),
                directive=directive,
                remark=rest.strip() if directive else remark,
                notes=tuple(self.notes),
                subtests=self.subtests,
            )
        )
        self.notes, self.subtests = [], None

    def take_subtests(self, report: Report) -> None:
        if self.subtests is not None:
            self.fault("two reports of subtests before one result")
        self.subtests = report

    def closed(self) -> Report:
        if not self.versions:
            self.fault("no version line")
        if self.plan is None:
            self.fault("no plan")
        elif self.plan != len(self.results):
            count = len(self.results)
            self.fault(f"the plan is 1..{self.plan}, but got {count} results")
        elif self.plan == 0 and self.skipped is None:
            self.fault("a plan of 0 tests without SKIP")
        if self.subtests is not None:
            self.fault("subtests without a result after them")
        return Report(
            plan=self.plan,
            results=tuple(self.results),
            notes=tuple(self.notes),
            skipped=(self.skipped or "") if self.plan == 0 else "",
            faults=tuple(self.faults),
        )


class _Reader:
    # The open reports are nested; the outermost is the first.

    def __init__(self) -> None:
        self._open = [_Open()]

    def take(self, line: str) -> None:
        body = line.lstrip(" ")
        depth, rest = divmod(len(line) - len(body), len(_INDENT))
        if not rest and self._take_at(depth, body):
            return
        innermost = self._open[-1]
        if _VERSION.fullmatch(body) or _RESULT.fullmatch(body):
            innermost.fault(f"a line that belongs to no report: {body}")
        if body.startswith(_BAIL_OUT):
            innermost.fault(body)
        note = re.sub(r"^# ?", "", body).rstrip()
        if note:
            innermost.notes.append(note)

    def report(self) -> Report:
        self._close_to(0)
        return self._open[0].closed()

    # Returns whether the line belongs to the report at that depth.
    def _take_at(self, depth: int, body: str) -> bool:
        if _VERSION.fullmatch(body):
            return self._take_version(depth)
        plan, result = _PLAN.fullmatch(body), _RESULT.fullmatch(body)
        if depth >= len(self._open) or not (plan or result):
            return False
        self._close_to(depth)
        if plan:
            self._open[depth].take_plan(plan)
        if result:
            self._open[depth].take_result(result)
        return True

    def _take_version(self, depth: int) -> bool:
        if depth > min(len(self._open), _DEEPEST):
            return False
        self._close_to(depth)
        if depth == len(self._open):
            self._open.append(_Open())
        self._open[depth].take_version()
        return True

    def _close_to(self, depth: int) -> None:
        while len(self._open) > depth + 1:
            inner = self._open.pop().closed()
            self._open[-1].take_subtests(inner)
