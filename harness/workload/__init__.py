"""The workload as data: layouts of VMAs, naming schemes, cells, traces."""

from harness.workload.cell import Cell, Store
from harness.workload.cells import all_cells, interleaved
from harness.workload.layout import GUARD_PAGES, OTHER_VMAS, Layout, layout_of
from harness.workload.naming import (
    MAX_NAME,
    NamingKind,
    NamingScheme,
    check_schemes_differ,
    naming_from_label,
)

__all__ = [
    "GUARD_PAGES",
    "MAX_NAME",
    "OTHER_VMAS",
    "Cell",
    "Layout",
    "NamingKind",
    "NamingScheme",
    "Store",
    "all_cells",
    "check_schemes_differ",
    "interleaved",
    "layout_of",
    "naming_from_label",
]
