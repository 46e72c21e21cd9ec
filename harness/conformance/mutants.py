"""Plays the same traces on mutant kernels, to see which mutants the check detects."""

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

# Enough to take each path that makes or frees a struct.
AUDIT_PLAN = AuditPlan(
    vmas=256, children=2, cycles=100,
    namings=(NamingScheme(NamingKind.DISTINCT, 8), NamingScheme(NamingKind.SHARED, 63)),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantResult:
    """The result for one mutant, or for the stock kernel if ``mutant`` is None.

    ``operations`` is how many operations were checked, including the one that
    diverged. ``found`` is the divergence. ``wrong_count`` is a sentence about the
    first number that was not as predicted, if the kernel was audited.
    """

    mutant: Mutant | None
    operations: int
    found: Found | None
    wrong_count: str = ""

    @property
    def detected(self) -> bool:
        """Whether the kernel differs from the model."""
        return self.found is not None or bool(self.wrong_count)

    @property
    def as_expected(self) -> bool:
        """Whether the mutant was detected at its bug, or the stock kernel agreed."""
        if self.mutant is not None and AUDIT in self.mutant.seen_at:
            return bool(self.wrong_count)
        if self.mutant is None or self.found is None:
            return (self.mutant is None) == (self.found is None)
        return self.found.divergence.word in self.mutant.seen_at


def try_kernel(
    mutant: Mutant | None,
    plan: AgreePlan,
    target: Callable[[threading.Event], TraceTarget],
    *,
    on_step: Callable[[str], None],
) -> MutantResult:
    """Play the plan on a mutant's kernel, or on the stock kernel if it is None."""
    agreement = agree(plan, target, on_step=on_step)
    found = agreement.found
    checked = agreement.operations + (found.divergence.index + 1 if found else 0)
    return MutantResult(mutant=mutant, operations=checked, found=found)


def audit_mutant(
    mutant: Mutant, kernel: BuiltKernel, target: QemuTarget, *,
    on_step: Callable[[str], None],
) -> MutantResult:  # fmt: skip
    """Audit a mutant's readable kernel."""
    audit = audit_kernel(
        AUDIT_PLAN, kernel, target, campaign="mutants", on_step=on_step
    )
    return MutantResult(
        mutant=mutant, operations=AUDIT_PLAN.operations, found=None,
        wrong_count=next(iter(audit.divergences), ""),
    )  # fmt: skip


def of_the_day(names: list[str], count: int, day: int) -> list[str]:
    """``count`` of the names; others on each day, so that every name gets its turn.

    ``day`` is a number that grows by one per day (date.toordinal).
    """
    first = day * count % len(names)
    return [names[(first + i) % len(names)] for i in range(min(count, len(names)))]
