"""Many new lines are parsed together: the result is as if each were parsed alone."""

from collections.abc import Callable

import pytest

from harness.divergence import Divergence
from harness.divergence import checker as checking
from harness.divergence.checker import TraceChecker
from harness.divergence.recording import Change, Seen
from harness.errors import RecordError
from harness.model import Model
from harness.workload import layout_of, naming_from_label
from harness.workload.layout_steps import layout_steps
from harness.workload.ops import PAGE, Map, Memory, SetName, Step
from tests.traces import FILE, HERE, seen_of

PRIVATE = list(layout_steps(layout_of(100, 0), naming_from_label("distinct:79")))
EVERY_KIND = [
    *PRIVATE,
    Step(0, Map(110, 4, 3, Memory.FILE, from_page=2)),
    Step(0, Map(114, 4, 3, Memory.SHARED)),
    Step(0, Map(118, 4, 3, Memory.MEMFD, from_page=1)),
    Step(0, SetName(118, 2 * PAGE, "s")),
]

SPOILERS: dict[str, Callable[[list[str]], list[str]]] = {
    "as it is": lambda lines: lines,
    "a line less": lambda lines: lines[1:],
    "the last line less": lambda lines: lines[:-1],
    "a line twice": lambda lines: [lines[0], *lines],
    "two lines swapped": lambda lines: [lines[1], lines[0], *lines[2:]],
    "two lines in one": lambda lines: ["\n".join(lines[:2]), *lines[2:]],
    "a line that is cut": lambda lines: [lines[0][:-9], *lines[1:]],
    "an empty line": lambda lines: ["", *lines],
    "another protection": lambda lines: [*lines[:5], lines[5].replace("r-", "--", 1),
                                         *lines[6:]],
    "another name": lambda lines: [line.replace("[anon:4", "[anon:+")
                                   for line in lines],
    "no name": lambda lines: [*lines[:7], lines[7][:49 - 8], *lines[8:]],
    "another path": lambda lines: [line.replace("/memfd", "/other") for line in lines],
    "a deleted file": lambda lines: [line.replace(FILE, f"{FILE} (deleted)")
                                     for line in lines],
    "an offset": lambda lines: [line.replace(" 00002000 ", " 00003000 ")
                                for line in lines],
    "half a page of offset": lambda lines: [line.replace(" 00002000 ", " 00002800 ")
                                            for line in lines],
    "half a page": lambda lines: [lines[0].replace("000-", "800-", 1), *lines[1:]],
    "before the arena": lambda lines: ["00001000-00002000" + lines[0][17:], *lines[1:]],
    "no latin-1": lambda lines: [lines[0] + "\u20ac", *lines[1:]],
}  # fmt: skip


def outcome(steps: list[Step], lines: list[str]) -> Divergence | str | None:
    checker = TraceChecker(steps, HERE)
    try:
        for _ in steps[:-1]:
            assert checker.check(Seen(0, (), looked=False)) is None
        return checker.check(Seen(0, (Change(0, 0, 0, tuple(lines)),)))
    except RecordError as error:
        return str(error)


def lines_of(steps: list[Step]) -> list[str]:
    lines: list[str] = []
    for _, changes in seen_of(Model(), steps):
        for _, before, after, new in changes:
            lines[before : len(lines) - after] = new
    return lines


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
@pytest.mark.parametrize("steps", [PRIVATE, EVERY_KIND], ids=["private", "every kind"])
def test_many_lines_are_parsed_as_one_by_one(
    steps: list[Step],
    spoil: Callable[[list[str]], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = lines_of(steps)
    lines = spoil(right)

    at_once = outcome(steps, lines)
    monkeypatch.setattr(checking, "_MANY", 1 << 30)
    assert at_once == outcome(steps, lines)
    assert (at_once is None) == (
        [line.replace(" (deleted)", "") for line in lines]
        == [line.replace(" (deleted)", "") for line in right]
    )


def test_many_lines_of_private_memory_are_not_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(line: bytes) -> None:
        raise AssertionError(line)

    monkeypatch.setattr(checking, "parse_line", never)
    monkeypatch.setattr(checking, "parse_columns", never)

    assert outcome(PRIVATE, lines_of(PRIVATE)) is None
