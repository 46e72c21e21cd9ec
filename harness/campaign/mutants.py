"""Mutant kernels under the same traces: which of them the model tells from stock."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from harness.campaign.agree import AgreePlan, agree
from harness.campaign.playing import Found, PlayTarget
from harness.kbuild.mutant import Mutant


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a mutant, or of the stock kernel (None) under the same traces.

    ``operations`` were judged, the one that diverged, in ``found``, included.
    """

    mutant: Mutant | None
    operations: int
    found: Found | None

    @property
    def good(self) -> bool:
        """Whether the mutant was seen where its bug is, or stock agreed."""
        if self.mutant is None or self.found is None:
            return (self.mutant is None) == (self.found is None)
        return self.found.divergence.word in self.mutant.seen_at


def try_kernel(
    mutant: Mutant | None,
    plan: AgreePlan,
    target: Callable[[threading.Event], PlayTarget],
    *,
    on_step: Callable[[str], None],
) -> Verdict:
    """Play the plan on a mutant's kernel, or on the stock one."""
    agreement = agree(plan, target, on_step=on_step)
    found = agreement.found
    judged = agreement.operations + (found.divergence.index + 1 if found else 0)
    return Verdict(mutant=mutant, operations=judged, found=found)


def of_the_day(names: list[str], count: int, day: int) -> list[str]:
    """``count`` of the names, so that all come round as days go by.

    ``day`` is a number that grows by one a day (date.toordinal).
    """
    first = day * count % len(names)
    return [names[(first + i) % len(names)] for i in range(min(count, len(names)))]
