"""Every combination of what is varied, and the seeded order it is run in."""

import random
from collections.abc import Sequence

from harness.workload.cell import Cell, Store
from harness.workload.layout import layout_of
from harness.workload.naming import NamingKind, NamingScheme, naming_from_label


def all_cells(
    vmas: Sequence[int],
    pages: Sequence[int],
    naming: Sequence[str],
    stores: Sequence[Store],
    vma_pages: int = 1,
) -> list[Cell]:
    """Every cell of a kernel with these stores, in no particular order.

    The unnamed arm is always there, twice a layout: it is the baseline, and how
    far two of it lie apart is what cannot be told from nothing (A/A). Raises
    UsageError for a scheme that has too few names for its VMAs.
    """
    schemes = [naming_from_label(label) for label in naming]
    cells = []
    for count in vmas:
        for written in pages:
            layout = layout_of(count, written, vma_pages)
            unnamed = NamingScheme(NamingKind.NONE)
            cells += [Cell(store=stores[0], layout=layout, naming=unnamed)] * 2
            for scheme in schemes:
                scheme.name_of(count - 1)
                cells += [
                    Cell(store=store, layout=layout, naming=scheme)
                    for store in stores
                    if scheme.kind is not NamingKind.NONE and store is not Store.ABSENT
                ]
    return cells


def interleaved(
    cells: Sequence[Cell], *, blocks: int, seed: str
) -> list[tuple[int, Cell]]:
    """(block, cell) of every cell in every block, each block in an order of its own."""
    chooser = random.Random(seed)
    return [
        (block, cell)
        for block in range(blocks)
        for cell in chooser.sample(cells, len(cells))
    ]
