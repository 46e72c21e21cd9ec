"""A divergence drawn with rulers: before, expected and seen, a column a page."""

from collections.abc import Sequence

from harness.model import Shown
from harness.oracle.judge import Divergence

_COLUMNS = 100
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def draw(divergence: Divergence, pages: int) -> str:
    """Three rows of letters: a VMA begins with a capital, ``.`` is a hole.

    Letters are explained below; names are those of maps. Where an arena is
    wider than a line, the part around the first difference is drawn.
    """
    if divergence.kind == "probe":
        return (
            "harness.model.Behaviour says what is probed, and harness.play.probes how"
        )
    rows = {
        "before": divergence.before,
        "expected": divergence.expected,
        "seen": divergence.seen,
    }
    if divergence.kind in ("outcome", "complaint", "died"):
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
    if pages <= _COLUMNS:
        return 0
    pairs = zip(divergence.expected, divergence.seen, strict=False)
    differing = [e.start for e, s in pairs if e != s]
    return max(0, min(differing[0] - 20 if differing else 0, pages - _COLUMNS))


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
