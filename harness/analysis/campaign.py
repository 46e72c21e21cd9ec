"""The object for users: a campaign, its tables and its plots.

::

    from harness import Campaign

    campaign = Campaign.load("results/nightly")
    campaign                    # question, answer, A/A check, table
    campaign.effects()          # a DataFrame
    campaign.plot.effects()     # a picture
"""

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pandas as pd
from matplotlib.figure import Figure

from harness.analysis.aa_check import AACheck, aa_checks
from harness.analysis.claims import Claim, answer_claims
from harness.analysis.costs import Cost, cell_costs, unnamed_only
from harness.analysis.display.figure import figure_of_words
from harness.analysis.display.markup import rendered
from harness.analysis.display.table import Table
from harness.analysis.distrust import distrust
from harness.analysis.effects import Effect, cell_effects, reductions
from harness.analysis.noise import cell_noise
from harness.analysis.plots import campaign_plots
from harness.analysis.published import published_percent
from harness.analysis.records.frames import NoSamples, load
from harness.analysis.records.provenance import (
    DEFAULT_MARGIN,
    Identity,
    identity_of,
    planned_identity,
)
from harness.analysis.report.contents import Report, report_on
from harness.analysis.report.topic import main_cell
from harness.analysis.slopes import Slope, slopes
from harness.analysis.tables import (
    aa_table,
    claims_table,
    costs_table,
    distrust_table,
    effects_table,
    noise_table,
    published_table,
    reductions_table,
    slopes_table,
)
from harness.errors import UsageError
from harness.host.campaign_folders import RECORDS, campaigns_in, find_campaign
from harness.host.programs import printable, printable_lines
from harness.worker.measure.records import Metric

_T = TypeVar("_T")
# Notebooks run in a folder one level below the repository.
_RESULTS = (Path("results"), Path("../results"))
# Files of a campaign's folder that mean the whole campaign.
_OWN_FILES = (RECORDS, "records.parquet")


class _Found:
    """The results behind a campaign's tables and plots, each computed once."""

    def __init__(self, samples: Table, margin: float, name: str) -> None:
        self.samples, self.margin, self.name = samples, margin, name
        there = set(samples["metric"].unique())
        self.metrics = tuple(each.value for each in Metric if each.value in there)
        self._effects: dict[str, list[Effect]] = {}
        self._checks: dict[str, list[AACheck]] = {}
        self._costs: dict[str, list[Cost]] = {}

    def checked(self, metric: str) -> str:
        """The metric. Raises UsageError if it was not measured."""
        if metric in self.metrics:
            return metric
        raise UsageError(
            f"{self.name} has no samples of {metric!r}; it has "
            f"{', '.join(self.metrics)}"
        )

    def effects(self, metric: str) -> list[Effect]:
        if self.checked(metric) not in self._effects:
            self._effects[metric] = cell_effects(
                self.samples, margin=self.margin, metric=metric
            )
        return self._effects[metric]

    def checks(self, metric: str) -> list[AACheck]:
        if self.checked(metric) not in self._checks:
            self._checks[metric] = aa_checks(
                self.samples, margin=self.margin, metric=metric
            )
        return self._checks[metric]

    def costs(self, metric: str) -> list[Cost]:
        if self.checked(metric) not in self._costs:
            self._costs[metric] = cell_costs(
                self.samples, margin=self.margin, metric=metric
            )
        return self._costs[metric]

    def slopes(self, metric: str) -> list[Slope]:
        return slopes(self.samples, metric=self.checked(metric))

    @property
    def claims(self) -> list[Claim]:
        return answer_claims(self.effects("fork"))


class Campaign:
    """A campaign's tables, plots, and its answer in words.

    Every table is a DataFrame. Costs are in the unit of its column ``unit``: insns
    (instructions) or ns (nanoseconds). An estimate has its bounds in the columns
    ``..., low`` and ``..., high``. They are a 95 % interval over boots for time, and
    the range of the boots for instructions or few boots.
    """

    def __init__(self, path: Path, identity: Identity, samples: pd.DataFrame) -> None:
        self.path = path
        self.identity = identity
        self.samples = Table(samples)
        self._found = _Found(self.samples, identity.margin, identity.name)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> "Campaign":
        """Load a campaign: its folder, its name in results, records.jsonl, or Parquet.

        Without a path, load the ``newest``. Raises UsageError if there is none or if it
        has no samples yet, and RecordError for a line that is not a record.
        """
        if path is None:
            return cls.newest()
        found = find_campaign(Path(path), _results())
        return cls(found, _identity(found), load(found))

    @classmethod
    def newest(
        cls,
        results: str | os.PathLike[str] | None = None,
        *,
        otherwise: str | os.PathLike[str] | None = None,
    ) -> "Campaign":
        """The campaign in ``results`` that was measured last and has samples.

        The default for ``results`` is the folder of that name in the working directory
        or in the one above. If there is no such campaign, ``otherwise`` is loaded;
        without ``otherwise``, UsageError is raised.
        """
        folder = _results() if results is None else Path(results)
        for found in campaigns_in(folder):
            try:
                return cls.load(found)
            except NoSamples:
                continue
        if otherwise is not None:
            return cls.load(otherwise)
        raise UsageError(
            f"there is no campaign with samples in {folder}; try anonvma run"
        )

    @property
    def name(self) -> str:
        """The campaign's name when it was measured."""
        return self.identity.name

    @property
    def margin(self) -> float:
        """The margin of all verdicts, in percent; the plan fixes it."""
        return self.identity.margin

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that were measured: fork, and others."""
        return self._found.metrics

    @property
    def plot(self) -> "Plots":
        """The campaign's plots."""
        return Plots(self._found)

    def effects(self, metric: str = "fork") -> Table:
        """What names cost: named minus unnamed, one row per named arm."""
        return effects_table(self._found.effects(metric))

    def aa_check(self, metric: str = "fork") -> Table:
        """The difference of identical processes, one row per layout."""
        return aa_table(self._found.checks(metric))

    def costs(self, metric: str = "fork") -> Table:
        """The whole cost of the call in each arm, including unnamed ones."""
        return costs_table(self._found.costs(metric))

    def slopes(self, metric: str = "fork") -> Table:
        """The cost of each additional VMA, from three or more VMA counts."""
        return slopes_table(self._found.slopes(metric))

    def published(self) -> Table:
        """The cells published in 2021, beside the measured ones."""
        return published_table(self._found.effects("fork"))

    def claims(self) -> Table:
        """The claims of 2021, and what this campaign found."""
        return claims_table(self._found.claims)

    def reductions(self) -> Table:
        """How many times less names cost at fork if they are shared, not copied."""
        return reductions_table(reductions(self._found.effects("fork")))

    def noise(self, metric: str = "fork") -> Table:
        """The samples of each cell: their spread, outliers, and drift."""
        return noise_table(cell_noise(self.samples, self._found.checked(metric)))

    def distrust(self, metric: str = "fork") -> Table:
        """Reasons to distrust the numbers, one row each."""
        return distrust_table(
            distrust(self.samples, self._found.checked(metric), margin=self.margin)
        )

    @property
    def question(self) -> str:
        """The question that the campaign answers."""
        return self._report.answer.question

    @property
    def answer(self) -> str:
        """The answer in a few sentences, one per line."""
        return printable_lines("\n".join(self._report.answer.sentences))

    @property
    def aa_answer(self) -> str:
        """The result of the A/A check of fork, in a sentence or two."""
        return printable(self._report.aa_words)

    @cached_property
    def _report(self) -> Report:
        return report_on(self.samples, self.identity)

    def _table(self) -> tuple[Table, str]:
        """The rows that the answer is about, and a note about the others."""
        found = self._found.effects("fork")
        if not found:
            return costs_table(unnamed_only(self._found.costs("fork"))), ""
        main = [e for unit in ("ns", "insns") for e in main_cell(found, unit)]
        note = f"{len(main)} of {len(found)} rows; .effects() has all of them."
        return effects_table(main), note if len(main) < len(found) else ""

    def _repr_html_(self) -> str:
        table, more = self._table()
        return rendered(
            "campaign.html", report=self._report, more=more, **table.shown()
        )

    def __repr__(self) -> str:
        table, more = self._table()
        report = self._report
        lines = [
            report.answer.question, *report.answer.sentences,
            f"{report.aa_words} {report.reading_words}", "", repr(table), more, "",
            *report.warnings,
            f"Campaign {self.name}: {report.measured_words}",
        ]  # fmt: skip
        return "\n".join(map(printable_lines, lines))


class Plots:
    """The plots of a campaign; a notebook shows each of them."""

    def __init__(self, found: _Found) -> None:
        self._found = found

    def effects(self, metric: str = "fork") -> Figure:
        """What names cost in percent, with intervals, one row per named arm."""
        found = self._found.effects(metric)
        return _picture(campaign_plots.plot_effects, found, _no_cell(metric))

    def published(self) -> Figure:
        """The cells of 2021 as published and as measured, side by side."""
        like = [
            e for e in self._found.effects("fork")
            if published_percent(e.arm) is not None
        ]  # fmt: skip
        return _picture(
            campaign_plots.plot_published, like, "no cell of 2021 was measured"
        )

    def scale(self, metric: str = "fork") -> Figure:
        """What names cost per VMA over the number of VMAs."""
        found = self._found.effects(metric)
        return _picture(campaign_plots.plot_scale, found, _no_cell(metric))

    def lengths(self, metric: str = "fork") -> Figure:
        """What names cost over their length."""
        found = self._found.effects(metric)
        return _picture(campaign_plots.plot_lengths, found, _no_cell(metric))

    def costs(self, metric: str = "fork") -> Figure:
        """The whole cost of the call in each arm."""
        return _picture(
            campaign_plots.plot_costs, self._found.costs(metric), _no_cell(metric)
        )

    def slopes(self, metric: str = "fork") -> Figure:
        """The cost over the number of VMAs."""
        found = self._found.slopes(metric)
        nothing = f"{metric} was measured at fewer than three numbers of VMAs"
        return _picture(campaign_plots.plot_slopes, found, nothing)

    def aa(self, metric: str = "fork") -> Figure:
        """The difference of identical processes, one dot per boot."""
        checks = self._found.checks(metric)
        return _picture(
            campaign_plots.plot_aa,
            checks,
            f"no two identical processes of {metric} were measured",
        )

    def order(self, metric: str = "fork") -> Figure:
        """Every sample relative to its cell's median, in the order of measurement."""
        return campaign_plots.plot_order(
            self._found.samples, self._found.checked(metric)
        )


def _no_cell(metric: str) -> str:
    return f"no such cell of {metric} was measured"


def _picture(
    plot: Callable[[Sequence[_T]], Figure], found: Sequence[_T], nothing: str
) -> Figure:
    if found:
        return plot(found)
    return figure_of_words(f"Nothing to plot: {nothing}")


def _results() -> Path:
    return next((path for path in _RESULTS if path.is_dir()), _RESULTS[0])


def _identity(path: Path) -> Identity:
    if path.name in _OWN_FILES and (path.parent / RECORDS).exists():
        return identity_of(path.parent)
    if path.is_dir():
        return identity_of(path)
    return planned_identity(path) or Identity(
        name=path.stem, records_sha256="", margin=DEFAULT_MARGIN, command=(), began="",
        plan={},
    )  # fmt: skip
