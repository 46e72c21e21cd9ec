"""The contents that a campaign's page and its mail share."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.analysis.claims import Finding, answer_claims
from harness.analysis.display.formats import bounds
from harness.analysis.distrust import distrust
from harness.analysis.records.frames import load
from harness.analysis.records.provenance import Identity, identity_of
from harness.analysis.report.answer import Answer, answer_of
from harness.analysis.report.by_metric import ByMetric, by_metric
from harness.analysis.report.topic import Evidence
from harness.analysis.slopes import slopes

# The width of a mail, and of commands.
COLUMNS = 72
_FACTS = (
    "variant", "base", "kernel_release", "kernel_version", "build_id", "config_sha256",
    "target", "machine", "accelerator", "cpu", "clock", "unit", "settings",
    "protocol", "harness", "python",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A campaign's identity, results, answer, and reasons to distrust them."""

    identity: Identity
    evidence: Evidence
    answer: Answer
    warnings: tuple[str, ...]

    @property
    def fork(self) -> ByMetric | None:
        """The results for fork; None if it has no usable sample."""
        return self.evidence.of_metric("fork")

    @property
    def trusted(self) -> bool:
        """Whether the A/A check of fork holds in every layout."""
        return self.fork is not None and self.fork.holds

    @property
    def aa_words(self) -> str:
        """Whether the A/A check of fork holds, in a sentence or two."""
        if self.fork is None:
            return "There is no usable sample of fork: THERE IS NO A/A CHECK."
        return self.fork.aa_words

    @property
    def measured_words(self) -> str:
        """The number of samples, processes and boots, and where they were measured."""
        frame = self.evidence.frame
        runs = frame[["run", "session", "boot", "run_valid"]].drop_duplicates()
        good = runs[runs["run_valid"]]
        excluded = len(runs) - len(good)
        aside = f" {excluded} processes are left out: invalid, or measured again."
        boots = len(good[["session", "boot"]].drop_duplicates())
        places = "; ".join(place.words for place in self.evidence.places)
        return (
            f"{int(frame['run_valid'].sum()):,} samples of {len(good):,} processes in "
            f"{boots:,} boots: {places or 'none is usable'}."
            f"{aside * bool(excluded)}"
        )

    @property
    def reading_words(self) -> str:
        """How to read the sentences of the answer."""
        effects = self.evidence.effects("fork")
        estimates = [effect.percent for effect in effects]
        if self.fork is not None and not estimates:
            estimates = [cost.total for cost in self.fork.costs]
        words = [f"In brackets: {bounds(estimates)}."] if estimates else []
        if any(place.exact for place in self.evidence.places):
            words.append("Instructions (insns) are not time.")
        if any(claim.finding is Finding.NOT_TIME for claim in self.evidence.claims):
            words.append("They cannot decide the claims of 2021, which are about time.")
        return " ".join(words)


def report_of(path: Path) -> Report:
    """The report of a campaign's folder or exported Parquet.

    Raises UsageError and RecordError as ``load`` and ``identity_of`` do.
    """
    return report_on(load(path), identity_of(path))


def report_on(frame: pd.DataFrame, identity: Identity) -> Report:
    """The report of the samples that ``load`` returned, for this identity."""
    metrics = by_metric(frame, margin=identity.margin)
    forks = [effect for m in metrics if m.metric == "fork" for effect in m.effects]
    evidence = Evidence(
        frame=frame, margin=identity.margin, metrics=metrics,
        claims=tuple(answer_claims(forks)), slopes=tuple(slopes(frame)),
    )  # fmt: skip
    return Report(
        identity=identity, evidence=evidence, answer=answer_of(evidence),
        warnings=tuple(distrust(frame, margin=identity.margin)),
    )  # fmt: skip


def facts_of(
    frame: pd.DataFrame,
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The facts of a campaign's runs: shared ones, and those that differ by kernel."""
    facts = frame[list(_FACTS)].drop_duplicates().astype("str")
    shared = {
        name: facts[name].iloc[0] for name in _FACTS if facts[name].nunique() == 1
    }
    own = [name for name in _FACTS if name not in shared]
    differing = [
        {name: str(value) for name, value in zip(own, row, strict=True)}
        for row in facts[own].itertuples(index=False)
    ]
    return shared, differing if own else []


def commands_of(identity: Identity) -> list[str]:
    """The commands that made the campaign and this report, in lines of a mail."""
    unplanned = (
        "# measured elsewhere, without a plan:",
        f"# {identity.margin:g} % is the default margin",
    )
    return [
        *(_command(identity.command) or unplanned),
        *_command(("anonvma", "report", identity.name)),
    ]


def _command(words: Iterable[str]) -> list[str]:
    """A command in lines of a mail, which a shell reads as one command."""
    lines: list[str] = []
    line = ""
    for word in words:
        for at, piece in enumerate(_pieces(word)):
            gap = "" if at or not line else " "
            if len(line + gap + piece) > COLUMNS - 2:
                lines.append(f"{line}{gap}\\")
                line = "    " if gap else ""
                gap = ""
            line += gap + piece
    return [*lines, line] if line else []


def _pieces(word: str) -> list[str]:
    # A shell joins adjacent quoted pieces, so a long word can be cut.
    if len(whole := _shell(word)) <= COLUMNS - 6:
        return [whole]
    return [_shell(word[at : at + 16]) for at in range(0, len(word), 16)]


def _shell(word: str) -> str:
    plain = word.isascii() and word.replace("-", "").replace(":", "").isalnum()
    plain = plain or all(c.isalnum() or c in "-_.,:/=%" for c in word)
    return word if plain else "'" + word.replace("'", "'\\''") + "'"
