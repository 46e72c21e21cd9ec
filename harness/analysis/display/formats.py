"""Number formats, the same in every table, page, mail and notebook.

An estimate is written as its value, with its interval in brackets: a 95 % interval over
boots for time, the range of the boots for instructions or few boots.
"""

from harness.analysis.processes import LEAST_BOOTS
from harness.analysis.stats import Interval

# Decimal places of each kind of number.
PERCENT, PER_VMA, AA_PERCENT, WHOLE, TIMES = 2, 1, 3, 0, 1


def shown(estimate: Interval, places: int, *, sign: bool = True) -> str:
    """``+34.07 [33.36, 38.68]``: an estimate with ``places`` decimal places."""
    value = f"{estimate.value:{'+' if sign else ''},.{places}f}"
    return f"{value} [{estimate.low:,.{places}f}, {estimate.high:,.{places}f}]"


def spoken(estimate: Interval, places: int, unit: str) -> str:
    """``34.07 % [33.36, 38.68]``: an estimate with its unit, for sentences."""
    return shown(estimate, places, sign=False).replace(" [", f" {unit} [", 1)


def percent(estimate: Interval) -> str:
    """A change in percent."""
    return shown(estimate, PERCENT)


def per_vma(estimate: Interval) -> str:
    """A cost in units per VMA, with its sign."""
    return shown(estimate, PER_VMA)


def times(estimate: Interval) -> str:
    """A ratio."""
    return shown(estimate, TIMES, sign=False)


def bounds(estimates: list[Interval]) -> str:
    """What the brackets of a table contain, in words."""
    kinds = {each.kind for each in estimates}
    if kinds == {"range"}:
        return "range of the boots"
    if "range" in kinds:
        return f"95 % interval over boots, or their range if fewer than {LEAST_BOOTS}"
    return "95 % interval over boots"
