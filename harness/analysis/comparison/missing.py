"""What a comparison lacks: missing cells, kernels, metrics and boots.

A side is a campaign, or one kernel of it. It should have every cell of its records,
even if all samples are invalid, and every cell of its plan. It has a cell if some block
(a round over all cells) has valid samples of it.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import pandas as pd

from harness.analysis.comparison.promise import Promise, takes
from harness.analysis.comparison.stores import COPIED, SHARED, shared_of
from harness.analysis.processes import (
    ARM,
    BOOT,
    PLACE,
    Arm,
    Place,
    arm_of,
    place_of,
    unnamed_of,
)
from harness.analysis.records.frames import plain, usable

FIRST, SECOND, BOTH = "first", "second", "both"
EVERY_CELL = "every cell"
BY_PLAN, BY_OTHER = "plan", "other side"
NOT_MEASURED = "it was not measured"
WHERE = [name for name in PLACE if name not in ("base", "variant")]

_Cell = tuple[Place, Arm]
_Block = tuple[object, ...]
_NONE: frozenset[_Block] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A cell that could not be compared: ``side`` (or both) has no valid samples."""

    side: str
    metric: str
    where: str
    cell: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FewerBoots:
    """A cell with fewer boots or blocks than expected.

    ``by`` says what expects more: the plan of ``side``, or the other side.
    """

    side: str
    metric: str
    where: str
    cell: str
    boots: int
    expected_boots: int
    blocks: int
    expected_blocks: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A cell that a side should have: its valid ``blocks``, or ``why`` there are none.

    ``promised`` is the number of boots and blocks in the plan, if there is a plan.
    """

    place: Place
    arm: Arm
    blocks: frozenset[_Block]
    why: str
    promised: tuple[int, int] | None

    @property
    def boots(self) -> int:
        """The number of boots that the blocks come from."""
        return len({block[:-1] for block in self.blocks})


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The cells of a metric that a side should have, and the blocks that it has.

    ``unmeasured`` lists kernels that are in the plan, but not in the records.
    ``metrics`` have valid samples; ``spoilt`` metrics have only invalid ones.
    """

    metric: str
    cells: tuple[_Cell, ...]
    blocks: Mapping[_Cell, frozenset[_Block]]
    reasons: Mapping[_Cell, str]
    promised: Mapping[_Cell, tuple[int, int]]
    unmeasured: tuple[Place, ...]
    metrics: frozenset[str]
    spoilt: frozenset[str]

    @property
    def stores(self) -> set[str]:
        """The stores of its named cells."""
        return {arm.store for _, arm in self._measured_kernels() if arm.named}

    @property
    def wheres(self) -> set[tuple[str, ...]]:
        """Where its kernels ran (see ``where_of``)."""
        return {where_of(place) for place, _ in self.cells}

    def arms(self) -> list[Wanted]:
        """Every cell."""
        return [self._wanted(cell, [cell]) for cell in self._measured_kernels()]

    def named(self) -> list[Wanted]:
        """Every named cell, with the blocks that also have its unnamed partner."""
        return [
            self._wanted((place, arm), [(place, arm), (place, unnamed_of(arm))])
            for place, arm in self._measured_kernels()
            if arm.named
        ]

    def copied(self) -> list[Wanted]:
        """Every cell of kernels with both stores, with the blocks that have both."""
        stores: dict[Place, set[str]] = {}
        for place, arm in self._measured_kernels():
            stores.setdefault(place, set()).add(arm.store)
        cells = dict.fromkeys(
            (place, replace(arm, store=COPIED))
            for place, arm in self._measured_kernels()
            if arm.named and {SHARED, COPIED} <= stores[place]
        )
        return [
            self._wanted((place, arm), [(place, arm), (place, shared_of(arm))])
            for place, arm in cells
        ]

    def only_unnamed(self) -> list[Missing]:
        """Layouts without a named cell, of kernels that have named cells."""
        cells = self._measured_kernels()
        named = {(place, arm.layout) for place, arm in cells if arm.named}
        kernels = {place for place, _ in named}
        return [
            Missing(
                side=FIRST, metric=self.metric, where=place.words,
                cell=f"{arm.layout_words}, named", why=NOT_MEASURED,
            )
            for place, arm in cells
            if place in kernels and (place, arm.layout) not in named
        ]  # fmt: skip

    def _measured_kernels(self) -> list[_Cell]:
        return [cell for cell in self.cells if cell[0] not in self.unmeasured]

    def _wanted(self, cell: _Cell, needed: Sequence[_Cell]) -> Wanted:
        each = [self.blocks.get(one, _NONE) for one in needed]
        common = each[0].intersection(*each[1:])
        why = ""
        for one, blocks in zip(needed, each, strict=True):
            if not blocks and not why:
                of = "" if one == cell else f"its partner, {one[1].words}: "
                why = of + self.reasons.get(one, NOT_MEASURED)
        if not common and not why:
            why = "no block has valid samples of both it and its partner"
        return Wanted(
            place=cell[0], arm=cell[1], blocks=common, why=why,
            promised=self.promised.get(cell),
        )  # fmt: skip


def side_of(frame: pd.DataFrame, metric: str, promise: Promise | None) -> Side:
    """What a side has and should have, for one metric."""
    known = _cells_in(frame)
    promised = _promised(known, promise) if promise else frozenset()
    numbers = (promise.boots, promise.boots * promise.blocks) if promise else (0, 0)
    wanted = {c for c in known.keys() | promised if takes(metric, c[1])}
    valid = frame["valid"] & frame["run_valid"] & ~frame["warmup"]
    seen, good = (
        frozenset(map(str, rows["metric"].unique())) for rows in (frame, frame[valid])
    )
    places = {place for place, _ in known}
    return Side(
        metric=metric,
        cells=tuple(sorted(wanted, key=lambda c: (astuple(c[0]), astuple(c[1])))),
        blocks=_valid_blocks(frame, metric),
        reasons=dict.fromkeys(promised - known.keys(), NOT_MEASURED)
        | _reasons(frame, metric, known),
        promised=dict.fromkeys(promised, numbers),
        unmeasured=tuple(
            sorted({p for p, _ in promised} - places, key=lambda p: p.words)
        ),
        metrics=good,
        spoilt=seen - good,
    )


def lacking(wanted: Sequence[Wanted], metric: str) -> list[Missing]:
    """The cells of one campaign that have no valid samples."""
    return [
        Missing(
            side=FIRST, metric=metric, where=w.place.words, cell=w.arm.words, why=w.why
        )
        for w in wanted
        if not w.blocks
    ]


def unmatched(
    sides: tuple[Mapping[Hashable, Wanted], Mapping[Hashable, Wanted]], metric: str
) -> list[Missing]:
    """The cells that one side or both sides lack; the keys match cells."""
    found = []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        one, other = (side.get(key) for side in sides)
        if one and one.blocks and other and other.blocks:
            continue
        side, present = BOTH, one or other
        lost = present
        if one and one.blocks:
            side, present, lost = SECOND, one, other
        elif other and other.blocks:
            side, present, lost = FIRST, other, one
        assert present is not None
        found.append(
            Missing(
                side=side, metric=metric, where=present.place.words,
                cell=present.arm.words, why=lost.why if lost else NOT_MEASURED,
            )
        )  # fmt: skip
    return found


def fewer_boots(wanted: Sequence[Wanted], side: str, metric: str) -> list[FewerBoots]:
    """The cells of a side that have fewer blocks than its plan."""
    return [
        _fewer(w, side, metric, w.promised, BY_PLAN)
        for w in wanted
        if w.promised and 0 < len(w.blocks) < w.promised[1]
    ]


def fewer_than_other(
    sides: tuple[Mapping[Hashable, Wanted], Mapping[Hashable, Wanted]], metric: str
) -> list[FewerBoots]:
    """The cells for which one side has fewer boots than the other."""
    found = []
    for key, one in sides[0].items():
        other = sides[1].get(key)
        if other is None or not one.blocks or not other.blocks:
            continue
        pair = ((one, other, FIRST), (other, one, SECOND))
        found += [
            _fewer(less, side, metric, (more.boots, len(more.blocks)), BY_OTHER)
            for less, more, side in pair
            if less.boots < more.boots
        ]
    return found


def lost_metrics(*sides: Side) -> list[Missing]:
    """Metrics that a side lacks: all samples are invalid, or the second has none."""
    found = []
    names = (FIRST, SECOND)
    for name, side in zip(names, sides, strict=False):
        for metric in sorted(side.spoilt - {side.metric}):
            found.append(_lost(name, metric, "it has no valid sample"))
    if len(sides) == 2:
        gone = sides[0].metrics - sides[1].metrics - sides[1].spoilt
        for metric in sorted(gone - {sides[0].metric}):
            found.append(_lost(SECOND, metric, NOT_MEASURED))
    return found


def unmeasured_kernels(side: Side, name: str) -> list[Missing]:
    """The kernels that are in a side's plan, but not in its records."""
    return [
        replace(
            _lost(
                name, side.metric, "the plan has this kernel, but the records do not"
            ),
            where=place.words,
        )
        for place in side.unmeasured
    ]


def _lost(side: str, metric: str, why: str) -> Missing:
    return Missing(side=side, metric=metric, where="", cell=EVERY_CELL, why=why)


def _fewer(
    w: Wanted, side: str, metric: str, expected: tuple[int, int], by: str
) -> FewerBoots:
    return FewerBoots(
        side=side, metric=metric, where=w.place.words, cell=w.arm.words,
        boots=w.boots, expected_boots=expected[0],
        blocks=len(w.blocks), expected_blocks=expected[1], by=by,
    )  # fmt: skip


def _cells_in(frame: pd.DataFrame) -> dict[_Cell, set[str]]:
    """The cells of all records, valid or not, and the stores that each had."""
    rows = plain(frame[[*PLACE, *ARM]].drop_duplicates())
    found: dict[_Cell, set[str]] = {}
    for key in rows.itertuples(index=False, name=None):
        place, arm = place_of(key), arm_of(key)
        if arm.vmas >= 1 and not (arm.named and arm.store == "absent"):
            cell = place, arm if arm.named else unnamed_of(arm)
            found.setdefault(cell, set()).add(arm.store)
    return found


def _promised(
    known: Mapping[_Cell, Iterable[str]], promise: Promise
) -> frozenset[_Cell]:
    seen: dict[Place, set[str]] = {}
    for (place, _), stores in known.items():
        seen.setdefault(place, set()).update(stores)
    places: set[Place] = set()
    for where in {where_of(place) for place in seen}:
        here = [place for place in seen if where_of(place) == where]
        built = [p for p in here if (p.variant, p.base) in promise.kernels]
        places |= {*(built or here)}
        # Where one of the plan's kernels ran, all of them should have run.
        places |= {
            replace(built[0], variant=variant, base=base)
            for variant, base in promise.kernels
            if built
        }
    return frozenset(
        (place, arm)
        for place in places
        for arm in promise.arms(
            promise.stores.get(place.variant)
            or {s for s in seen.get(place, ()) if s in (SHARED, COPIED)}
        )
    )


def where_of(place: Place) -> tuple[str, ...]:
    """A place without its kernel: the values of ``WHERE``."""
    return tuple(getattr(place, name) for name in WHERE)


def _valid_blocks(frame: pd.DataFrame, metric: str) -> dict[_Cell, frozenset[_Block]]:
    samples = usable(frame, metric)
    rows = plain(samples[[*PLACE, *ARM, *BOOT, "block"]].drop_duplicates())
    found: dict[_Cell, set[_Block]] = {}
    for row in rows.itertuples(index=False, name=None):
        place, arm = place_of(row), arm_of(row)
        cell = place, arm if arm.named else unnamed_of(arm)
        found.setdefault(cell, set()).add(row[len(PLACE) + len(ARM) :])
    return {cell: frozenset(blocks) for cell, blocks in found.items()}


def _reasons(
    frame: pd.DataFrame, metric: str, known: Iterable[_Cell]
) -> dict[_Cell, str]:
    """For each cell, the reasons why samples are invalid, in the order they occur."""
    columns = [*PLACE, *ARM, "run_valid", "valid", "warmup", "reason"]
    rows = plain(frame.loc[frame["metric"] == metric, columns].drop_duplicates())
    why: dict[_Cell, dict[str, None]] = {cell: {} for cell in known}
    for row in rows.itertuples(index=False, name=None):
        place, arm = place_of(row), arm_of(row)
        cell = place, arm if arm.named else unnamed_of(arm)
        run_valid, valid, warmup, reason = row[-4:]
        if cell not in why or warmup:
            continue
        if not run_valid:
            why[cell]["its runs did not end, or ended invalid"] = None
        elif not valid:
            why[cell][f"no valid sample: {reason}"] = None
        else:
            why[cell]["no possible sample"] = None
    return {
        cell: "; ".join(found) if found else f"no sample of {metric}"
        for cell, found in why.items()
    }
