"""The cells and the number of boots that a campaign's plan has, kernel by kernel."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.analysis.processes import Arm
from harness.errors import UsageError
from harness.worker.measure.records import Metric
from harness.workload import Cell, Store, all_cells

# The most processes that a plan may have.
_MOST = 10**6
_NEEDED = ("vmas", "pages", "naming", "boots")
# The metrics that only named processes have.
NAMED_ONLY = frozenset({Metric.NAME.value, Metric.RENAME.value})

Plan = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What the plan measures of each kernel: every arm, in all blocks of all boots.

    ``kernels`` are the planned (variant, base) pairs; ``stores`` are those of each
    variant. Other kernels have the same arms, in the stores that their records show.
    """

    kernels: frozenset[tuple[str, str]]
    stores: Mapping[str, tuple[str, ...]]
    vmas: tuple[int, ...]
    pages: tuple[int, ...]
    vma_pages: int
    naming: tuple[str, ...]
    boots: int
    blocks: int

    def of(self, variant: str | None, base: str | None) -> "Promise":
        """The promise, limited to one variant or one base."""
        kept = {
            kernel
            for kernel in self.kernels
            if variant in (None, kernel[0]) and base in (None, kernel[1])
        }
        return replace(self, kernels=frozenset(kept))

    def arms(self, stores: Iterable[str]) -> frozenset[Arm]:
        """The arms of a kernel with these stores."""
        kept = [Store(store) for store in sorted(stores)] or [Store.ABSENT]
        cells = all_cells(self.vmas, self.pages, self.naming, kept, self.vma_pages)
        return frozenset(map(_arm_of_cell, cells))


def promise_of(
    plan: Plan, stores_of: Callable[[str], tuple[str, ...] | None]
) -> Promise | None:
    """The promise of an ``Identity``'s plan; None if the plan has no cells.

    ``stores_of`` returns the stores of a variant that can be built, else None. Raises
    UsageError for a plan that cannot be read.
    """
    if not all(field in plan for field in _NEEDED):
        return None
    try:
        return _read(plan, stores_of)
    except (ValueError, TypeError, OverflowError, RecursionError, UsageError) as error:
        raise UsageError(f"the plan cannot be read: {error!s:.300}") from None


def takes(metric: str, arm: Arm) -> bool:
    """Whether a process of an arm has samples of a metric."""
    if metric == Metric.RENAME.value:
        # There is only one name of 0 bytes, so it cannot be changed.
        return arm.named and arm.name_length > 0
    if metric == Metric.SPLIT.value:
        return arm.vma_pages > max(1, arm.written_pages)
    return arm.named or metric not in NAMED_ONLY


def _read(plan: Plan, stores_of: Callable[[str], tuple[str, ...] | None]) -> Promise:
    variants = _texts(plan.get("variants", []))
    # Plans had one base until 0.3.2.
    bases = _texts(plan.get("bases", [plan.get("base", "")]))
    known = {name: stores_of(name) for name in variants}
    promise = Promise(
        kernels=frozenset((name, base) for name in variants for base in bases),
        stores={name: kept for name, kept in known.items() if kept is not None},
        vmas=_counts(plan["vmas"], 1),
        pages=_counts(plan["pages"], 0),
        vma_pages=_count(plan.get("vma_pages", 1), 1),
        naming=_texts(plan["naming"]),
        boots=_count(plan["boots"], 1),
        blocks=_count(plan.get("blocks", 1), 1),
    )
    kinds = len(promise.vmas) * len(promise.pages) * (2 * len(promise.naming) + 2)
    if kinds * promise.boots * promise.blocks * max(1, len(promise.kernels)) > _MOST:
        raise ValueError(f"it has more than {_MOST} processes")
    # This raises UsageError for impossible layouts or names.
    promise.arms([Store.REFCOUNTED.value])
    return promise


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise TypeError(f"expected a list of texts, not {value!r:.100}")
    return tuple(value)


def _counts(value: object, least: int) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list of numbers, not {value!r:.100}")
    return tuple(_count(each, least) for each in value)


def _count(value: object, least: int) -> int:
    if type(value) is not int or not least <= value < 2**40:
        raise ValueError(f"expected a number from {least}, not {value!r:.100}")
    return value


def _arm_of_cell(cell: Cell) -> Arm:
    layout = cell.layout
    return Arm(
        vmas=layout.vmas, vma_pages=layout.vma_pages,
        written_pages=layout.written_pages,
        store=cell.store.value if cell.named else "any",
        naming=cell.naming.kind.value, name_length=cell.naming.length,
    )  # fmt: skip
