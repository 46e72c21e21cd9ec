"""Measures what a named anonymous VMA costs, and whether the kernel keeps its word.

``Campaign`` is for users: what was measured, and what it says. ``Holdings`` is what a
kernel holds. Both are imported when they are first asked for, as they load pandas,
and what runs next to the kernel imports this package and must not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.analysis.campaign import Campaign
    from harness.analysis.holdings import Holdings

__version__ = "0.3.2"
__all__ = ["Campaign", "Holdings", "__version__"]


def __getattr__(name: str) -> Any:  # what it is depends on the name
    if name == "Campaign":
        from harness.analysis.campaign import Campaign

        return Campaign
    if name == "Holdings":
        from harness.analysis.holdings import Holdings

        return Holdings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
