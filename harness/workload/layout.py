"""Layouts: the VMAs of an arena, as data.

All VMAs of a layout are adjacent, in one reservation. Only their protections keep them
from merging, so the named and the unnamed arm have the same VMAs. Names would separate
only the VMAs of the named arm. Gaps would be further VMAs or holes and double the map
count.

    0123456789ab
    -wrwrwrwrwr-    ten VMAs: w read-write, r read-only, - no access

The first and the last page are guards: no VMA outside can merge with the arena.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.errors import UsageError

# VMAs of a Python process outside the arena: about 70, with room for growth.
OTHER_VMAS = 500
GUARD_PAGES = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """``vmas`` VMAs of ``vma_pages`` pages each; the first ``written_pages`` of each
    are written.

    Raises UsageError for an impossible layout.
    """

    vmas: int
    vma_pages: int = 1
    written_pages: int = 0

    def __post_init__(self) -> None:
        if self.vmas < 1:
            raise UsageError(f"a layout has at least 1 VMA, not {self.vmas!r}")
        if self.vma_pages < 1:
            raise UsageError(f"a VMA has at least 1 page, not {self.vma_pages!r}")
        if not 0 <= self.written_pages <= self.vma_pages:
            raise UsageError(
                f"{self.written_pages!r} pages cannot be written "
                f"in VMAs of {self.vma_pages!r} pages"
            )

    @property
    def arena_pages(self) -> int:
        """The number of pages of the whole reservation, with its guards."""
        return self.vmas * self.vma_pages + 2 * GUARD_PAGES

    @property
    def map_count_needed(self) -> int:
        """The vm.max_map_count that building and forking the layout needs."""
        vmas = 2 * self.vmas if self.splits else self.vmas
        return vmas + 2 * GUARD_PAGES + OTHER_VMAS

    @property
    def splits(self) -> bool:
        """Whether its VMAs can be split: they have a second page, not written."""
        return self.written_pages < self.vma_pages and self.vma_pages > 1

    def first_pages(self) -> Iterator[int]:
        """The first page of each VMA, counted from the start of the arena."""
        end = GUARD_PAGES + self.vmas * self.vma_pages
        return iter(range(GUARD_PAGES, end, self.vma_pages))


def layout_of(vmas: int, written_pages: int, vma_pages: int = 1) -> Layout:
    """A layout; its VMAs have ``vma_pages`` or ``written_pages``, whichever is more.

    With one page it is the layout of the published experiment.
    """
    return Layout(
        vmas=vmas, vma_pages=max(vma_pages, written_pages), written_pages=written_pages
    )
