"""Measures what a named anonymous VMA costs, and whether the kernel keeps its word.

``Campaign`` is a campaign's tables, plots and answer; ``AllocationCounts`` are the
counts of ``anonvma audit``. Both load pandas, so they are imported on first use: the
worker next to the kernel imports this package too, and must not load pandas.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.analysis.allocation_counts import AllocationCounts
    from harness.analysis.campaign import Campaign

__version__ = "0.3.2"
__all__ = ["AllocationCounts", "Campaign", "__version__"]


def __getattr__(name: str) -> Any:  # what it is depends on the name
    if name == "Campaign":
        from harness.analysis.campaign import Campaign

        return Campaign
    if name == "AllocationCounts":
        from harness.analysis.allocation_counts import AllocationCounts

        return AllocationCounts
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
