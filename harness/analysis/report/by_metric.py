"""Every metric of a campaign: what names cost in it, and its own A/A check."""

from dataclasses import dataclass

import pandas as pd

from harness.analysis.aa_check import AACheck, aa_checks
from harness.analysis.costs import Cost, cell_costs
from harness.analysis.display.formats import AA_PERCENT, spoken
from harness.analysis.effects import Effect, cell_effects
from harness.analysis.processes import Arm, Place, unnamed_of
from harness.worker.measure.records import Metric

# Fork first: it is what the project is about.
_ORDER = ("fork", *(m.value for m in Metric if m.value != "fork"))
_TITLES = {
    "fork": "Fork", "exit_reap": "Exit", "name": "Naming", "rename": "Renaming",
    "split": "Splitting", "munmap": "Unmapping",
}  # fmt: skip
_MEANINGS = {
    "fork": "Clone as the parent sees it; the child is held until it has returned.",
    "exit_reap": "From the child's last act before exit to the return of wait4.",
    "name": "All naming calls, the interpreter's loop included.",
    "rename": "The same calls with other names.",
    "split": "One mprotect per VMA, which cuts it in two.",
    "munmap": "One munmap of the whole arena.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ByMetric:
    """A metric of a campaign.

    ``costs`` has the arms of the kernels that have no effects: where no unnamed
    process has the metric, or none has names.
    """

    metric: str
    effects: tuple[Effect, ...]
    costs: tuple[Cost, ...]
    checks: tuple[AACheck, ...]

    @property
    def title(self) -> str:
        """What is measured, in a word."""
        return _TITLES.get(self.metric, self.metric)

    @property
    def meaning(self) -> str:
        """What lies between the two clock reads."""
        return _MEANINGS.get(self.metric, "")

    @property
    def holds(self) -> bool:
        """Whether there were identical arms, and all were alike."""
        return bool(self.checks) and all(check.holds for check in self.checks)

    @property
    def aa_words(self) -> str:
        """What the A/A check says, in a sentence or two."""
        if not self.checks and self.effects:
            return "No identical arms were measured: NO VERDICT BELOW CAN BE TRUSTED."
        if not self.checks:
            return (
                "No two identical arms were measured, so nothing says how much of "
                "these figures is noise."
            )
        named, count = any(c.arm.named for c in self.checks), len(self.checks)
        one, many = ("naming", "namings") if named else ("layout", "layouts")
        every = f"the one {one}" if count == 1 else f"all {count} {many}"
        if failed := sum(not check.holds for check in self.checks):
            which = every if failed == count else f"{failed} of {count} {many}"
            what = "VERDICTS" if self.effects else "FIGURES"
            return (
                f"Two identical arms differ in {which}: {what} THERE ARE NOT TO BE "
                f"TRUSTED. {self._furthest()}"
            )
        return f"Two identical arms are alike in {every}. {self._furthest()}"

    def check_words(self, place: Place, arm: Arm) -> str:
        """What the A/A check of an arm says: holds, differs, or not measured."""
        # Two unnamed processes speak for their layout, two named ones for their arm.
        about = [
            check.holds
            for check in self.checks
            if check.place == place and check.arm in (arm, unnamed_of(arm))
        ]
        if not about:
            return "not measured"
        return "holds" if all(about) else "differs"

    def _furthest(self) -> str:
        most = max(self.checks, key=_reach)
        where = "" if len({c.place for c in self.checks}) == 1 else most.place.words
        words = most.arm.words if most.arm.named else most.arm.layout_words
        return (
            f"Furthest apart: {spoken(most.percent, AA_PERCENT, '%')} "
            f"({', '.join(filter(None, (words, where)))})."
        )


def _reach(check: AACheck) -> float:
    # What counts instructions is judged by its range, what takes time by its estimate.
    told = check.percent
    if check.place.exact:
        return max(abs(told.low), abs(told.high))
    return abs(told.value)


def by_metric(frame: pd.DataFrame, *, margin: float) -> tuple[ByMetric, ...]:
    """Every metric that was recorded, fork first; those without usable samples not."""
    recorded = set(map(str, frame["metric"].unique()))
    known = [metric for metric in _ORDER if metric in recorded]
    found = []
    for metric in [*known, *sorted(recorded - set(known))]:
        samples = frame[frame["metric"] == metric]
        effects = tuple(cell_effects(samples, margin=margin, metric=metric))
        told = {effect.place for effect in effects}
        costs = cell_costs(samples, margin=margin, metric=metric)
        if costs:
            each = ByMetric(
                metric=metric, effects=effects,
                costs=tuple(cost for cost in costs if cost.place not in told),
                checks=tuple(aa_checks(samples, margin=margin, metric=metric)),
            )  # fmt: skip
            found.append(each)
    return tuple(found)
