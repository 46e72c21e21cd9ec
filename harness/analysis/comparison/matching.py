"""Matches the cells of two campaigns, and lists the facts that differ."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

import pandas as pd

from harness.analysis.comparison.missing import WHERE, Side, Wanted, where_of
from harness.analysis.comparison.result import Differing
from harness.analysis.processes import Arm, Place
from harness.analysis.records.frames import plain
from harness.errors import UsageError
from harness.worker.measure.pooling import KERNEL, MUST_MATCH

Frames = tuple[pd.DataFrame, pd.DataFrame]
# The most characters of a fact's values in a message.
_LONGEST = 200


class Matching:
    """Matches cells of two sides by where they ran, their layout and their names.

    The kernel is not matched, because it is compared. Effects are matched across
    machines, by ``unit``, if each side ran in one place per unit. If each side has one
    store and the two differ, cells are matched without the store.
    """

    def __init__(self, sides: Sequence[Side], *, across_machines: bool) -> None:
        self.stores_differ = (
            all(len(side.stores) == 1 for side in sides)
            and sides[0].stores != sides[1].stores
        )
        self._across = across_machines and all(
            len({where[-1] for where in side.wheres}) == len(side.wheres)
            for side in sides
        )

    def key(self, place: Place, arm: Arm) -> Hashable:
        """The key that matches a cell."""
        where = (place.unit,) if self._across else where_of(place)
        return where, replace(arm, store="any") if self.stores_differ else arm

    def by_key(self, wanted: Iterable[Wanted]) -> dict[Hashable, Wanted]:
        """Wanted cells by their keys."""
        return {self.key(each.place, each.arm): each for each in wanted}


def check_one_kernel(frames: Frames) -> None:
    """Check that each side has one kernel. UsageError lists the kernels it has."""
    for frame, which in zip(frames, ("first", "second"), strict=True):
        kernels = plain(frame[["base", "variant"]].drop_duplicates())
        if len(kernels) > 1:
            names = listed(kernels["variant"] + " " + kernels["base"])
            raise UsageError(
                f"the {which} campaign has more than one kernel ({names}): choose one "
                "with --variant or --base, or two of them to compare"
            )


def check_comparable(frames: Frames, facts: Sequence[str]) -> None:
    """Check that both sides ran in a common place, with equal ``facts`` there.

    A place that only one side has is not an error; its cells count as missing. Raises
    UsageError with the first fact that differs.
    """
    wheres = [
        set(plain(f[WHERE].drop_duplicates()).itertuples(index=False, name=None))
        for f in frames
    ]
    common = wheres[0] & wheres[1]
    for fact in facts:
        if fact in WHERE:
            # Without a common place, this fact is the reason.
            values = [_values(frame, fact) for frame in frames]
            if not common and values[0] != values[1]:
                raise _not_comparable(frames, fact, values)
            continue
        for where in sorted(common):
            values = [_values(_at(frame, where), fact) for frame in frames]
            if values[0] != values[1]:
                raise _not_comparable(frames, fact, values)
    if not common:
        raise UsageError("the two cannot be compared: they have no place in common")


def differing(frames: Frames, facts: Sequence[str]) -> list[Differing]:
    """The facts that differ between the sides, with both values."""
    found = []
    for fact in dict.fromkeys((*KERNEL, *facts, *MUST_MATCH)):
        values = [_values(frame, fact) for frame in frames]
        if values[0] != values[1]:
            first, second = (listed(side)[:_LONGEST] for side in values)
            found.append(Differing(fact=fact, first=first, second=second))
    return found


def listed(values: Iterable[str]) -> str:
    """Values in words."""
    return ", ".join(sorted(values)) or "nothing"


def _values(frame: pd.DataFrame, fact: str) -> set[str]:
    return set(map(str, frame[fact].dropna().unique()))


def _at(frame: pd.DataFrame, where: tuple[str, ...]) -> pd.DataFrame:
    here = pd.Series(True, index=frame.index)
    for name, value in zip(WHERE, where, strict=True):
        here &= frame[name] == value
    return frame[here]


def _not_comparable(
    frames: Frames, fact: str, values: Sequence[set[str]]
) -> UsageError:
    shown = " and ".join(map(listed, values))
    one, other = (_values(frame, "unit") for frame in frames)
    advice = "; --effects compares what names add on each" if one & other else ""
    return UsageError(f"the two cannot be compared: {fact} is {shown}{advice}")
