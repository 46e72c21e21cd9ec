"""A cell: one combination of a layout, a naming scheme and a store."""

from dataclasses import dataclass
from enum import Enum

from harness.workload.layout import Layout
from harness.workload.naming import NamingKind, NamingScheme


class Store(Enum):
    """How the kernel stores names; ABSENT if it was built without them."""

    REFCOUNTED = "refcounted"
    STRDUP = "strdup"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A layout, its naming scheme, and the store that holds the names."""

    store: Store
    layout: Layout
    naming: NamingScheme

    @property
    def named(self) -> bool:
        """Whether the cell gives any names."""
        return self.naming.kind is not NamingKind.NONE

    @property
    def label(self) -> str:
        """The cell in one line, for progress and error messages."""
        layout = self.layout
        return (
            f"{self.store.value}, {layout.vmas} VMAs of {layout.vma_pages} pages "
            f"({layout.written_pages} written), naming {self.naming.label}"
        )
