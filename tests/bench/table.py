"""The bench's table, for people."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from harness.host.programs import printable
from tests.bench.figures import DISTANCES, Figure, Kind, Reached, Verdict

_NOTE = (
    "ratio: the median over the repetitions, each of which takes both sides, one after "
    "the other, in alternating order; spread: the least and the most. Noise and memory "
    "must keep within their bounds in every repetition."
)
_QUICK_NOTE = "quick: fewer and smaller than the rows say; all of it: make bench"
_SIGNS = {
    Kind.AT_MOST: "<=",
    Kind.FASTER: ">=",
    Kind.WITHIN: "±",
    Kind.ALWAYS_WITHIN: "±",
    Kind.UNDER: "<",
}


def print_table(results: Sequence[Reached], console: Console, *, quick: bool) -> None:
    """One row a figure; what failed says why below."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for title in ("row", "what", "against"):
        table.add_column(title)
    for title in ("reach", "ratio", "spread", "reps"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for result in results:
        table.add_row(*_cells(result, quick=quick))
    console.print(table)
    for result in results:
        if result.reason:
            words = printable(result.reason.splitlines()[0][:500])
            console.print(f"{result.figure.name}: {words}", soft_wrap=True)
    console.print(_NOTE, soft_wrap=True)
    if quick:
        console.print(_QUICK_NOTE, soft_wrap=True)


def _cells(result: Reached, *, quick: bool) -> list[str]:
    figure = result.figure
    shown = ["", "", ""]
    if result.repetitions:
        middle, low, high = (
            shown_ratio(figure, each)
            for each in (result.middle, result.low, result.high)
        )
        shown = [middle, f"{low}..{high}", str(result.repetitions)]
    verdict = result.verdict.value
    if quick and not figure.exact and result.verdict is Verdict.MISSED:
        verdict = "missed (told only)"
    reach = f"{_SIGNS[figure.kind]} {shown_ratio(figure, figure.reach)}"
    return [figure.name, figure.what, figure.against, reach, *shown, verdict]


def shown_ratio(figure: Figure, ratio: float) -> str:
    """A ratio as people read it: times, or percent where it is a distance."""
    if figure.kind in DISTANCES:
        return f"{ratio * 100:.3g} %"
    return f"{ratio:.3g}x"
