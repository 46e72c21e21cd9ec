"""The figures published in 2021, which this project measures again.

Source: cover letter of v8 of the series (2021-08-27). An ARM64 device with linux 5.14
forked a process with 65 536 named VMAs; the figures are the time in percent over
unnamed. Each VMA had its own name of up to 63 bytes, and as many pages as were written
in it, at least one.
"""

from collections.abc import Iterable

from harness.analysis.effects import Effect
from harness.analysis.processes import Arm

PUBLISHED_VMAS = 65_536
# By pages written in each VMA.
PUBLISHED_PERCENT = {
    0: {"strdup": 39.51, "refcounted": 12.16},
    1: {"strdup": 15.31, "refcounted": 6.52},
    10: {"strdup": 14.13, "refcounted": 5.39},
}
PUBLISHED_LENGTH = 63
# A struct for each VMA, as in 2021.
_NAMING = ("distinct", "distinct-same-text")


def published_percent(arm: Arm) -> float | None:
    """The published percentage for a cell like this one; None if there is none."""
    like = (
        arm.vmas == PUBLISHED_VMAS
        and arm.naming in _NAMING
        and arm.vma_pages == max(1, arm.written_pages)
    )
    if not like:
        return None
    return PUBLISHED_PERCENT.get(arm.written_pages, {}).get(arm.store)


def like_2021(
    found: Iterable[Effect], store: str, *, written_pages: int = 0
) -> Effect | None:
    """The effect on fork in the published cell; None if it was not measured.

    If several cells match, for example with several name lengths, the one most like
    that of 2021. ``found`` has the effects of one place.
    """
    cells = [
        e for e in found
        if e.metric == "fork" and e.arm.store == store
        and e.arm.written_pages == written_pages
        and published_percent(e.arm) is not None
    ]  # fmt: skip
    return min(cells, key=_unlike_2021, default=None)


def _unlike_2021(effect: Effect) -> tuple[int, str]:
    return abs(effect.arm.name_length - PUBLISHED_LENGTH), effect.arm.naming
