"""The answer of a campaign, in at most three sentences.

Every number in a sentence is an estimate from a table below it; none is written by
hand. Time comes before instructions. If there are several kernels, the sentences are
about the newest, and the tables have the others.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from harness.analysis.claims import COPYING, NOTHING, REDUCING, Claim, Finding
from harness.analysis.comparison.compare import compare_campaigns
from harness.analysis.costs import Cost
from harness.analysis.display import formats
from harness.analysis.effects import Effect, reduction
from harness.analysis.processes import Arm, Place
from harness.analysis.published import PUBLISHED_VMAS
from harness.analysis.report.topic import Evidence, Topic, main_cell, newest
from harness.analysis.slopes import Slope
from harness.analysis.stats import Interval, Verdict
from harness.errors import UsageError

_MOST_SENTENCES, _MOST_KERNELS = 3, 4
_WORD = {"strdup": "copied", "refcounted": "shared"}
_AGAINST = {
    Verdict.REGRESSED: "above",
    Verdict.IMPROVED: "lower by more than",
    Verdict.EQUIVALENT: "within",
    Verdict.INCONCLUSIVE: "not decided against",
}
_DOUBT = "do not trust this: its A/A check does not hold"
_Sentence = Callable[[Evidence], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The campaign's question, and its answer."""

    question: str
    sentences: tuple[str, ...]


def answer_of(evidence: Evidence) -> Answer:
    """The question of a campaign and its answer."""
    topic = evidence.topic
    sentences: list[str] = []
    for sentence in dict.fromkeys((*_BY_TOPIC[topic], *_MORE)):
        words = sentence(evidence) if len(sentences) < _MOST_SENTENCES else ""
        sentences += [words] * bool(words)
    return Answer(question=topic.value, sentences=tuple(sentences))


def _fork(store: str, evidence: Evidence) -> str:
    """What names of a store cost at fork, in the main cell of each clock."""
    clauses: list[str] = []
    head = ""
    for unit in ("ns", "insns"):
        pair = main_cell(evidence.effects("fork"), unit)
        for effect in (e for e in pair if e.arm.store == store):
            head = head or f"A fork of {_layout(effect.arm)} with {_WORD[store]} names"
            clauses.append(_fork_clause(effect, pair, evidence))
    return _sentence(head, clauses)


def _fork_clause(effect: Effect, pair: Sequence[Effect], evidence: Evidence) -> str:
    place = effect.place
    each = formats.spoken(effect.extra, formats.PER_VMA, place.unit)
    words = (
        f"{_more(effect.percent, place)} than one without names"
        f"{_where(place, evidence)}, {each} per VMA: "
        f"{_against(effect.judged.verdict, evidence)}"
    )
    if effect.arm.store == "refcounted" and len(pair) > 1:
        times = reduction(pair[0], pair[1])
        if times is not None:
            words += (
                f", {formats.spoken(times, formats.TIMES, 'times')} less than copied"
            )
    return words + _aside(_doubt(effect, evidence))


def _copying(evidence: Evidence) -> str:
    return _claimed(
        f"A fork of {PUBLISHED_VMAS:,} VMAs with copied names", COPYING, evidence,
        lambda c: _more(c.measured, c.place),
    )  # fmt: skip


def _reducing(evidence: Evidence) -> str:
    def less(claim: Claim) -> str:
        times = formats.spoken(claim.measured, formats.TIMES, "times")
        what = "fewer instructions" if claim.place.exact else "less time"
        return f"{times} {what} than copied ones"

    return _claimed("Shared names cost", REDUCING, evidence, less)


def _nothing(evidence: Evidence) -> str:
    return _claimed(
        "With a few thousand VMAs, a fork with shared names", NOTHING, evidence,
        lambda c: _more(c.measured, c.place), lambda c: f"{c.arm.vmas:,} VMAs",
    )  # fmt: skip


def _claimed(
    head: str,
    claim: str,
    evidence: Evidence,
    words: Callable[[Claim], str],
    about: Callable[[Claim], str] = lambda claim: "",
) -> str:
    """A claim on each clock, time first; of several places, the newest base."""
    clauses: list[str] = []
    for exact in (False, True):
        here = [
            c for c in evidence.claims if c.claim == claim and c.place.exact == exact
        ]
        if here:
            main = max(here, key=newest)
            published = _published(main) if not clauses else ""
            aside = _aside(about(main), published, _doubt(main, evidence))
            clauses.append(f"{words(main)}{_where(main.place, evidence)}{aside}")
    return _sentence(head, clauses)


def _published(claim: Claim) -> str:
    if claim.finding is Finding.NOT_TIME:
        return f"published in 2021, in time: {claim.published_words}"
    return f"published in 2021: {claim.published_words}, {claim.finding.value}"


def _kinds(evidence: Evidence) -> str:
    """The lowest and the highest cost of a name, of all kinds on one layout."""
    effects = evidence.effects("fork")
    clauses: list[str] = []
    mains = main_cell(effects, "ns") or main_cell(effects, "insns")
    for main in mains:
        cells = [
            e for e in effects
            if (e.place, e.arm.layout, e.arm.store)
            == (main.place, main.arm.layout, main.arm.store)
        ]  # fmt: skip
        least, most = (
            f"{formats.spoken(e.extra, formats.PER_VMA, e.place.unit)} ({e.arm.names})"
            for e in (
                min(cells, key=lambda e: e.extra.value),
                max(cells, key=lambda e: e.extra.value),
            )
        )
        doubt = _aside(_doubt(main, evidence))
        clauses.append(
            f"from {least} to {most} with {_WORD[main.arm.store]} names{doubt}"
        )
    head = f"A name costs a fork of {_layout(mains[0].arm)}, per VMA," if mains else ""
    return _sentence(head, clauses)


def _slopes(evidence: Evidence) -> str:
    """What each additional VMA costs at fork, on one clock: by names, or by kernel."""
    lines = [s for s in evidence.slopes if s.metric == "fork"]
    lines = [s for s in lines if not s.place.exact] or lines
    named = bool(evidence.effects("fork"))
    by_words: dict[str, Slope] = {}
    if named and lines:
        place = max(lines, key=newest).place
        for slope in (s for s in lines if s.place == place):
            by_words.setdefault(f"with {_WORD.get(slope.arm, 'no')} names", slope)
    else:
        for slope in lines[:_MOST_KERNELS]:
            by_words.setdefault(f"on {_kernel(slope.place, evidence)}", slope)
    ends = {slope.line.linear_to for slope in by_words.values()}
    clauses = [
        formats.spoken(slope.per_vma, formats.PER_VMA, slope.place.unit)
        + f" {name}"
        + (f" (straight up to {slope.line.linear_to:,} VMAs)" if len(ends) > 1 else "")
        for name, slope in sorted(by_words.items(), key=lambda item: item[1].line.slope)
    ]
    tail = f", in a straight line up to {ends.pop():,} VMAs" if len(ends) == 1 else ""
    unnamed = "" if named else "n unnamed"
    return _sentence(f"Each additional VMA costs a{unnamed} fork", clauses, tail=tail)


def _besides(evidence: Evidence) -> str:
    """What names cost in metrics other than fork: copied names if there are any."""
    clauses: dict[str, list[str]] = {}
    for each in evidence.metrics:
        if each.metric == "fork":
            continue
        for effect in main_cell(each.effects, "ns") or main_cell(each.effects, "insns"):
            percent = formats.spoken(effect.percent, formats.PERCENT, "%")
            clauses.setdefault(effect.arm.store, []).append(
                f"{percent} to {each.metric}{_aside(_doubt(effect, evidence))}"
            )
    store = "strdup" if "strdup" in clauses else "refcounted"
    head = f"Besides fork, {_WORD[store]} names add"
    return _sentence(head, clauses.get(store, []))


def _naming(evidence: Evidence) -> str:
    """What it costs to name a VMA, for each way to name it."""
    here = evidence.of_metric("name")
    if here is None or not here.costs:
        return ""
    place = max(here.costs, key=newest).place
    costs = [c for c in here.costs if c.place == place]
    layout = max((c.arm for c in costs), key=lambda arm: arm.vmas).layout
    longest: dict[tuple[str, str], Cost] = {}
    for cost in sorted(costs, key=lambda c: c.arm.name_length):
        if cost.arm.layout == layout:
            longest[(cost.arm.naming, cost.arm.store)] = cost
    shown = sorted(longest.values(), key=lambda c: -c.per_vma.value)[:_MOST_KERNELS]
    doubts = {_doubt(c, evidence) for c in shown}
    tail = f"; {doubts.pop()}" if len(doubts) == 1 and all(doubts) else ""
    clauses = [
        formats.spoken(c.per_vma, formats.PER_VMA, place.unit)
        + _aside(
            c.arm.names, _WORD.get(c.arm.store, ""),
            "" if tail else _doubt(c, evidence),
        )
        for c in shown
    ]  # fmt: skip
    head = f"Naming a VMA costs{_where(place, evidence)}"
    return _sentence(head, clauses, tail=tail)


def _kernels(metric: str, evidence: Evidence) -> str:
    """What a kernel with the feature costs unnamed processes, compared with none."""
    none = next((p for p in evidence.places if p.variant == "none"), None)
    if none is None:
        return ""
    rivals = [
        p for p in evidence.places
        if p != none and replace(p, variant="none") == none
    ]  # fmt: skip
    clauses, cell = [], ""
    samples = evidence.frame[evidence.frame["metric"] == metric]
    for rival in rivals[:_MOST_KERNELS]:
        sides = [_of_place(samples, place) for place in (none, rival)]
        try:
            found = compare_campaigns(*sides, margin=evidence.margin, metric=metric)
        except UsageError:
            # Kernels that were measured under other conditions cannot be compared.
            continue
        # Cells are sorted by layout: the last is the largest.
        for largest in found.cells[-1:]:
            cell = largest.cell.removesuffix(", unnamed")
            change = formats.spoken(largest.change, formats.PERCENT, "%")
            against = _against(largest.judged.verdict, evidence)
            doubt = "" if largest.trusted else _DOUBT
            clauses.append(f"{change} on {rival.variant}{_aside(against, doubt)}")
    more = "executes more instructions" if none.exact else "takes longer"
    head = (
        f"Compared with a kernel without names, an unnamed {metric} ({cell}) {more} by"
    )
    return _sentence(head, clauses)


def _of_place(frame: pd.DataFrame, place: Place) -> pd.DataFrame:
    keep = pd.Series(True, index=frame.index)
    for fact in ("base", "target", "machine", "accelerator", "unit", "variant"):
        keep &= frame[fact] == getattr(place, fact)
    return frame[keep]


def _unnamed(evidence: Evidence) -> str:
    """The cost of a fork without names, on each kernel."""
    here = evidence.of_metric("fork")
    costs = [c for c in here.costs if not c.arm.named] if here else []
    largest = max((c.arm.vmas for c in costs), default=0)
    shown = [c for c in costs if c.arm.vmas == largest][:_MOST_KERNELS]
    clauses = [
        f"{formats.spoken(c.total, formats.WHOLE, c.place.unit)} on "
        f"{_kernel(c.place, evidence)}{_aside(_doubt(c, evidence))}"
        for c in shown
    ]
    head = f"An unnamed fork of {_layout(shown[0].arm)} costs" if shown else ""
    return _sentence(head, clauses)


def _more(percent: Interval, place: Place) -> str:
    words = formats.spoken(percent, formats.PERCENT, "%")
    if place.exact:
        return f"executes {words} more instructions"
    return f"takes {words} longer"


def _against(verdict: Verdict, evidence: Evidence) -> str:
    return f"{_AGAINST[verdict]} the margin of {evidence.margin:g} %"


def _where(place: Place, evidence: Evidence) -> str:
    if len(evidence.places) == 1:
        return ""
    return f" on {place.target} {place.machine}, linux {place.base}"


def _kernel(place: Place, evidence: Evidence) -> str:
    machines = {replace(each, variant="") for each in evidence.places}
    return place.variant + (_where(place, evidence) if len(machines) > 1 else "")


def _layout(arm: Arm) -> str:
    pages = f" with {arm.written_pages} written pages each" * bool(arm.written_pages)
    return f"{arm.vmas:,} VMAs{pages}"


def _doubt(found: Effect | Claim | Cost, evidence: Evidence) -> str:
    metric = "fork" if isinstance(found, Claim) else found.metric
    here = evidence.of_metric(metric)
    check = here.check_words(found.place, found.arm) if here else ""
    if check == "differs":
        return _DOUBT
    return "" if check == "holds" else "no A/A check was made"


def _aside(*words: str) -> str:
    joined = "; ".join(filter(None, words))
    return f" ({joined})" if joined else ""


def _sentence(head: str, clauses: Iterable[str], *, tail: str = "") -> str:
    *most, last = [*clauses] or [""]
    if not last:
        return ""
    listed = f"{', '.join(most)} and {last}" if most else last
    return f"{head} {listed}{tail}."


_copied, _shared = partial(_fork, "strdup"), partial(_fork, "refcounted")
_BY_TOPIC: dict[Topic, tuple[_Sentence, ...]] = {
    Topic.PUBLISHED: (_copying, _reducing, _nothing),
    Topic.SCALE: (_copied, _shared, _slopes),
    Topic.LENGTH: (_kinds, _copied, _shared),
    Topic.SHARING: (_kinds, _copied, _shared),
    Topic.LIFECYCLE: (_copied, _besides, _naming),
    Topic.UNNAMED: (partial(_kernels, "fork"), _slopes, partial(_kernels, "exit_reap")),
    Topic.GENERAL: (_copied, _shared, _besides),
}
# Sentences to use if one of those above is empty.
_MORE: tuple[_Sentence, ...] = (
    _copied, _shared, _slopes, _besides, _naming, _unnamed,
)  # fmt: skip
