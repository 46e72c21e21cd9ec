"""A cell: one combination of everything that is varied."""

from dataclasses import dataclass
from enum import Enum

from harness.workload.layout import Layout
from harness.workload.naming import NamingKind, NamingScheme


class Store(Enum):
    """How the kernel keeps names; ABSENT where it was built without them."""

    REFCOUNTED = "refcounted"
    STRDUP = "strdup"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A layout, the names it gets, and the store that keeps them."""

    store: Store
    layout: Layout
    naming: NamingScheme

    @property
    def named(self) -> bool:
        """Whether the cell gives names at all."""
        return self.naming.kind is not NamingKind.NONE

    @property
    def label(self) -> str:
        """The cell in one line, for progress and errors."""
        layout = self.layout
        return (
            f"{self.store.value}, {layout.vmas} VMAs of {layout.vma_pages} pages "
            f"({layout.written_pages} written), naming {self.naming.label}"
        )
