"""Mutant kernels under the same traces: which of them the model tells from stock."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from harness.audit.audit import AuditPlan, audit_kernel
from harness.conformance.agree import AgreePlan, agree
from harness.conformance.playing import Found, TraceTarget
from harness.kbuild import BuiltKernel
from harness.kbuild.mutant import AUDIT, Mutant
from harness.targets import QemuTarget
from harness.workload import NamingKind, NamingScheme

# Enough for each path that makes or frees a struct to be taken.
AUDIT_PLAN = AuditPlan(
    vmas=256, children=2, cycles=100,
    namings=(NamingScheme(NamingKind.DISTINCT, 8), NamingScheme(NamingKind.SHARED, 63)),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a mutant, or of the stock kernel (None) under the same traces.

    ``operations`` were judged, the one that diverged, in ``found``, included;
    ``untrue`` is the first number that was not as predicted, where memory was read.
    """

    mutant: Mutant | None
    operations: int
    found: Found | None
    untrue: str = ""

    @property
    def seen(self) -> bool:
        """Whether it was told from what the model predicts."""
        return self.found is not None or bool(self.untrue)

    @property
    def good(self) -> bool:
        """Whether the mutant was seen where its bug is, or stock agreed."""
        if self.mutant is not None and AUDIT in self.mutant.seen_at:
            return bool(self.untrue)
        if self.mutant is None or self.found is None:
            return (self.mutant is None) == (self.found is None)
        return self.found.divergence.word in self.mutant.seen_at


def try_kernel(
    mutant: Mutant | None,
    plan: AgreePlan,
    target: Callable[[threading.Event], TraceTarget],
    *,
    on_step: Callable[[str], None],
) -> Verdict:
    """Play the plan on a mutant's kernel, or on the stock one."""
    agreement = agree(plan, target, on_step=on_step)
    found = agreement.found
    judged = agreement.operations + (found.divergence.index + 1 if found else 0)
    return Verdict(mutant=mutant, operations=judged, found=found)


def look_into(
    mutant: Mutant, kernel: BuiltKernel, target: QemuTarget, *,
    on_step: Callable[[str], None],
) -> Verdict:  # fmt: skip
    """Hold a mutant's readable kernel to account."""
    found = audit_kernel(
        AUDIT_PLAN, kernel, target, campaign="mutants", on_step=on_step
    )
    untrue = next(iter(found.divergences), "")
    return Verdict(
        mutant=mutant, operations=AUDIT_PLAN.operations, found=None, untrue=untrue
    )


def of_the_day(names: list[str], count: int, day: int) -> list[str]:
    """``count`` of the names, so that all come round as days go by.

    ``day`` is a number that grows by one a day (date.toordinal).
    """
    first = day * count % len(names)
    return [names[(first + i) % len(names)] for i in range(min(count, len(names)))]
