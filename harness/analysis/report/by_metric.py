"""The results of a campaign per metric: what names cost, and the A/A check."""

from dataclasses import dataclass

import pandas as pd

from harness.analysis.aa_check import AACheck, aa_checks
from harness.analysis.costs import Cost, cell_costs
from harness.analysis.display.formats import AA_PERCENT, spoken
from harness.analysis.effects import Effect, cell_effects
from harness.analysis.processes import Arm, Place, unnamed_of
from harness.worker.measure.records import Metric

# Fork first: the project is about it.
_ORDER = ("fork", *(m.value for m in Metric if m.value != "fork"))
_TITLES = {
    "fork": "Fork", "exit_reap": "Exit", "name": "Naming", "rename": "Renaming",
    "split": "Splitting", "munmap": "Unmapping",
}  # fmt: skip
_MEANINGS = {
    "fork": "The clone call in the parent; the child waits until it has returned.",
    "exit_reap": "From the child's last action before exit to the return of wait4.",
    "name": "All naming calls, including the interpreter's loop.",
    "rename": "The same calls with other names.",
    "split": "One mprotect per VMA, which splits it in two.",
    "munmap": "One munmap of the whole arena.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ByMetric:
    """A metric of a campaign.

    ``costs`` has the arms of kernels without effects: those for which unnamed
    processes do not have the metric, or without named processes.
    """

    metric: str
    effects: tuple[Effect, ...]
    costs: tuple[Cost, ...]
    checks: tuple[AACheck, ...]

    @property
    def title(self) -> str:
        """The name of the metric, for people."""
        return _TITLES.get(self.metric, self.metric)

    @property
    def meaning(self) -> str:
        """What lies between the two clock reads."""
        return _MEANINGS.get(self.metric, "")

    @property
    def holds(self) -> bool:
        """Whether identical arms were measured, and all checks hold."""
        return bool(self.checks) and all(check.holds for check in self.checks)

    @property
    def aa_words(self) -> str:
        """The result of the A/A check, in a sentence or two."""
        if not self.checks and self.effects:
            return "No identical arms were measured: NO VERDICT BELOW CAN BE TRUSTED."
        if not self.checks:
            return (
                "No identical arms were measured, so the noise in these figures is "
                "unknown."
            )
        named, count = any(c.arm.named for c in self.checks), len(self.checks)
        one, many = ("naming", "namings") if named else ("layout", "layouts")
        every = f"the one {one}" if count == 1 else f"all {count} {many}"
        if failed := sum(not check.holds for check in self.checks):
            which = every if failed == count else f"{failed} of {count} {many}"
            what = "VERDICTS" if self.effects else "FIGURES"
            return (
                f"Identical arms differ in {which}: DO NOT TRUST THE {what} THERE. "
                f"{self._largest()}"
            )
        return f"Identical arms are alike in {every}. {self._largest()}"

    def check_words(self, place: Place, arm: Arm) -> str:
        """The result of an arm's A/A check: holds, differs, or not measured."""
        # Unnamed processes check their whole layout, named ones only their arm.
        results = [
            check.holds
            for check in self.checks
            if check.place == place and check.arm in (arm, unnamed_of(arm))
        ]
        if not results:
            return "not measured"
        return "holds" if all(results) else "differs"

    def _largest(self) -> str:
        most = max(self.checks, key=_reach)
        where = "" if len({c.place for c in self.checks}) == 1 else most.place.words
        words = most.arm.words if most.arm.named else most.arm.layout_words
        return (
            f"Largest difference: {spoken(most.percent, AA_PERCENT, '%')} "
            f"({', '.join(filter(None, (words, where)))})."
        )


def _reach(check: AACheck) -> float:
    # Instructions are judged by their range, time by its estimate.
    found = check.percent
    if check.place.exact:
        return max(abs(found.low), abs(found.high))
    return abs(found.value)


def by_metric(frame: pd.DataFrame, *, margin: float) -> tuple[ByMetric, ...]:
    """Every recorded metric with usable samples, fork first."""
    recorded = set(map(str, frame["metric"].unique()))
    known = [metric for metric in _ORDER if metric in recorded]
    found = []
    for metric in [*known, *sorted(recorded - set(known))]:
        samples = frame[frame["metric"] == metric]
        effects = tuple(cell_effects(samples, margin=margin, metric=metric))
        with_effects = {effect.place for effect in effects}
        costs = cell_costs(samples, margin=margin, metric=metric)
        if costs:
            each = ByMetric(
                metric=metric, effects=effects,
                costs=tuple(cost for cost in costs if cost.place not in with_effects),
                checks=tuple(aa_checks(samples, margin=margin, metric=metric)),
            )  # fmt: skip
            found.append(each)
    return tuple(found)
