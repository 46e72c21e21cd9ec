"""All cells of a campaign, and the seeded random order in which they run."""

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

    Each layout also has two unnamed cells. They are the baseline, and their difference
    (A/A) is the noise floor. Raises UsageError for a scheme that has too few names for
    its VMAs.
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
    """(block, cell) for every cell in every block; each block has its own order."""
    chooser = random.Random(seed)
    return [
        (block, cell)
        for block in range(blocks)
        for cell in chooser.sample(cells, len(cells))
    ]
