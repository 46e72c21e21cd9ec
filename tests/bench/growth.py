"""Whether what is done to more VMAs costs only as much more: 1 000 to 1 048 576."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median

import numpy as np

from harness.maps import parse_maps
from harness.workload import layout_of, naming_from_label
from tests.bench.figures import Figure, Kind, Pair
from tests.bench.guest_side import Request
from tests.bench.guests import in_guest, uml_target
from tests.bench.judging import judge_well, recording_of
from tests.bench.taking import Setting, Subject, Taken, elapsed_ns
from tests.bench.text import text_of

_SIZES = (1_000, 4_000, 16_000, 65_536, 262_144, 1_048_576)


def _figure(name: str, what: str) -> Figure:
    return Figure(
        name=f"growth-{name}",
        what=f"{what}, 1 000 to 1 048 576 VMAs",
        against="the straight line through all sizes",
        kind=Kind.AT_MOST,
        reach=1.3,
    )


_BUILD = _figure("build", "build (uml)")
_VERIFY = _figure("verify", "verify, from a child (uml)")
_PARSE = _figure("parse", "parse maps")
_JUDGE = _figure("judge", "replay and judge, distinct:79")


def line_through(sizes: Sequence[int], costs: Sequence[float]) -> list[float]:
    """The costs that a straight line has at the sizes.

    Relative least squares, as in analysis.stats.line: what is small counts as much.
    """
    x, y = np.asarray(sizes, dtype=float), np.asarray(costs, dtype=float)
    slope, intercept = np.polyfit(x, y, 1, w=1 / y)
    return [float(slope * each + intercept) for each in x]


def pairs_on_line(repetition: int, costs: dict[int, float]) -> Iterator[Pair]:
    """Each size's cost, held against the line through all of them."""
    line = line_through(list(costs), list(costs.values()))
    for (size, cost), expected in zip(costs.items(), line, strict=True):
        yield Pair(
            repetition=repetition, ours=cost, other=expected, unit="ns",
            clock="CLOCK_MONOTONIC", size=size,
        )  # fmt: skip


def _sizes(setting: Setting) -> tuple[int, ...]:
    return _SIZES[: setting.pick(len(_SIZES), 4)]


def calls_of(size: int) -> int:
    """How often a size is taken: small ones are over before chance evens out."""
    return max(1, min(15, 65_536 // size))


def _parse(text: bytes) -> None:
    for _ in parse_maps(text):
        pass


def _here(setting: Setting) -> Iterator[Taken]:
    sizes = _sizes(setting)
    naming = naming_from_label("distinct:79")
    for repetition in range(setting.pick(3, 2)):
        for figure in (_PARSE, _JUDGE):
            if figure.name not in setting.chosen:
                continue
            costs: dict[int, float] = {}
            for size in sizes:
                layout = layout_of(size, 0)
                call: Callable[[], None]
                if figure is _PARSE:
                    call = partial(_parse, text_of(layout, naming))
                else:
                    call = partial(judge_well, recording_of(layout, naming))
                costs[size] = median(elapsed_ns(call) for _ in range(calls_of(size)))
            for pair in pairs_on_line(repetition, costs):
                yield figure.name, pair


def _in_guest(setting: Setting) -> Iterator[Taken]:
    each = tuple(size for size in _sizes(setting) for _ in range(calls_of(size)))
    request = Request(
        what="growth", program="", sizes=each, repetitions=setting.pick(3, 1)
    )
    taken: dict[tuple[str, int], dict[int, list[float]]] = {}
    # For a million: their structs twice, their maps and what they should be.
    mib = setting.pick(6144, 1024)
    for name, pair in in_guest(setting, uml_target(setting), request, mib=mib):
        by_size = taken.setdefault((name, pair.repetition), {})
        by_size.setdefault(pair.size, []).append(pair.ours)
    for (name, repetition), by_size in taken.items():
        costs = {size: median(each) for size, each in by_size.items()}
        for pair in pairs_on_line(repetition, costs):
            yield name, pair


GROWTH_IN_GUEST = Subject(figures=(_BUILD, _VERIFY), measure=_in_guest)
GROWTH_HERE = Subject(figures=(_PARSE, _JUDGE), measure=_here, apart=True)
