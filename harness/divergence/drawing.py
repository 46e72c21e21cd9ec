"""Draws a divergence under a ruler: before, expected and seen, one column per page."""

from collections.abc import Sequence
from itertools import zip_longest

from harness.divergence.checker import Divergence
from harness.model import Shown

_COLUMNS = 100
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NOTHING_SEEN = ("outcome", "complaint", "died")


def draw(divergence: Divergence, pages: int) -> str:
    """Three rows of letters: each VMA begins with a capital; ``.`` is a hole.

    A legend below shows each letter's permissions and name as in maps. If the arena
    is wider than the row, only the part around the first difference is drawn. If
    there are no maps to compare, it is the part around the page of the step.
    """
    if divergence.kind == "probe":
        return (
            "harness.model.Behaviour lists what is probed, "
            "harness.worker.executor.probes shows how"
        )
    rows = {
        "before": divergence.before,
        "expected": divergence.expected,
        "seen": divergence.seen,
    }
    if divergence.kind in _NOTHING_SEEN:
        del rows["seen"]
    letters: dict[tuple[str, str], str] = {}
    for shown in rows.values():
        for each in shown:
            kind = (each.perms, each.path)
            letters.setdefault(kind, _LETTERS[len(letters) % len(_LETTERS)])
    first = _first_column(divergence, pages)
    last = min(pages, first + _COLUMNS)
    lines = [f"step      {divergence.step}"]
    lines += [" " * 10 + ruler for ruler in _rulers(first, last)]
    lines += [
        f"{name:10}{_row(shown, letters, first, last)}" for name, shown in rows.items()
    ]
    used = set("".join(lines[3:]).lower())
    lines += [
        f"{letter:>9} {perms} {path or '(no name)'}"
        for (perms, path), letter in letters.items()
        if letter in used
    ]
    return "\n".join(lines)


def _first_column(divergence: Divergence, pages: int) -> int:
    if divergence.kind in _NOTHING_SEEN:
        # Some operations, such as fork, have no page.
        page = getattr(divergence.step.op, "page", 0)
    else:
        page = _first_difference(divergence.expected, divergence.seen)
    return max(0, min(page - 20, pages - _COLUMNS))


def _first_difference(expected: Sequence[Shown], seen: Sequence[Shown]) -> int:
    for one, other in zip_longest(expected, seen):
        if one is None or other is None:
            return int((one or other).start)
        if one != other:
            by_end = one._replace(end=other.end) == other
            return min(one.end, other.end) if by_end else min(one.start, other.start)
    return 0


def _rulers(first: int, last: int) -> list[str]:
    tens = "".join(
        f"{page:<10}" for page in range(first, last) if (page - first) % 10 == 0
    )
    return [tens.rstrip(), ("|" + " " * 9) * -(-(last - first) // 10)]


def _row(
    shown: Sequence[Shown], letters: dict[tuple[str, str], str], first: int, last: int
) -> str:
    row = ["."] * (last - first)
    for each in shown:
        letter = letters[each.perms, each.path]
        for page in range(max(each.start, first), min(each.end, last)):
            row[page - first] = letter.upper() if page == each.start else letter
    return "".join(row)
