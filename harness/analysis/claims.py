"""What was claimed in 2021, and what a campaign says about it.

The claims are those of the commit message of 78db3412833d and of the cover
letter of v8 (2021-08-27). Each is answered for each kernel and clock apart:
confirmed, refuted, or not decided here, with the effect it hangs on.
"""

from dataclasses import dataclass
from enum import Enum

from harness.analysis.answers import Answer, Place, reductions
from harness.analysis.effects import PUBLISHED_VMAS
from harness.analysis.stats import Interval, Verdict

# "a few thousand"
FEW_THOUSAND = (1_000, 8_000)
AT_MOST_PERCENT = 40.0
REDUCTION = (3.0, 4.0)


class Finding(Enum):
    """What a campaign says about a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNDECIDED = "not decided here"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimAnswer:
    """A claim, what was found about it, and in words why."""

    claim: str
    place: Place
    finding: Finding
    why: str
    trusted: bool


COPYING = "copying names makes fork up to 40 % slower at 64K VMAs"
REDUCING = "sharing them takes the regression down to a third or a fourth"
NOTHING = "with a few thousand VMAs sharing is not measurable"


def answer_claims(found: list[Answer], *, margin: float) -> list[ClaimAnswer]:
    """Every claim, for every place that has the cells it is about."""
    told = []
    for place in sorted({a.place for a in found}, key=lambda place: place.words):
        here = [a for a in found if a.place == place and a.metric == "fork"]
        told += [
            *_copying(place, here), *_reducing(place, here, found),
            *_nothing(place, here, margin),
        ]  # fmt: skip
    return told


def _copying(place: Place, here: list[Answer]) -> list[ClaimAnswer]:
    cells = [a for a in here if a.vmas == PUBLISHED_VMAS and a.store == "strdup"]
    if not cells:
        return []
    most = max(cells, key=lambda a: a.percent.value)
    if most.percent.low > AT_MOST_PERCENT:
        finding, how = Finding.REFUTED, "more than that"
    elif most.percent.low > 0 and most.percent.high <= AT_MOST_PERCENT:
        finding, how = Finding.CONFIRMED, "slower, by no more than that"
    else:
        finding, how = Finding.UNDECIDED, "the interval holds 0 or 40 %"
    why = f"at most {shown(most.percent, '%')} ({_cell(most)}): {how}"
    return [_claim(COPYING, place, finding, why, cells)]


def _reducing(
    place: Place, here: list[Answer], found: list[Answer]
) -> list[ClaimAnswer]:
    ratios = {
        key: ratio for key, ratio in reductions(found).items()
        if key[0] == place and key[1] == PUBLISHED_VMAS
    }  # fmt: skip
    if not ratios:
        return []
    low = min(ratio.low for ratio in ratios.values())
    high = max(ratio.high for ratio in ratios.values())
    least, most = REDUCTION
    if low > most or high < least:
        finding = Finding.REFUTED
        how = "further down than that" if low > most else "less than that"
    elif least <= low and high <= most:
        finding, how = Finding.CONFIRMED, "as claimed"
    else:
        finding, how = Finding.UNDECIDED, "neither within 3 to 4 times nor without"
    why = f"{low:.1f} to {high:.1f} times less: {how}"
    cells = [a for a in here if a.vmas == PUBLISHED_VMAS]
    return [_claim(REDUCING, place, finding, why, cells)]


def _nothing(place: Place, here: list[Answer], margin: float) -> list[ClaimAnswer]:
    few, thousand = FEW_THOUSAND
    cells = [
        a for a in here if few <= a.vmas <= thousand and a.store == "refcounted"
    ]  # fmt: skip
    if not cells:
        return []
    verdicts = {a.judged.verdict for a in cells}
    if verdicts == {Verdict.EQUIVALENT}:
        finding = Finding.CONFIRMED
    elif Verdict.REGRESSED in verdicts:
        finding = Finding.REFUTED
    else:
        finding = Finding.UNDECIDED
    worst = max(cells, key=lambda a: abs(a.percent.value))
    why = (
        f"{shown(worst.percent, '%')} ({_cell(worst)}), where less than {margin:g} % "
        "was to count as nothing"
    )
    return [_claim(NOTHING, place, finding, why, cells)]


def _claim(
    claim: str, place: Place, finding: Finding, why: str, cells: list[Answer]
) -> ClaimAnswer:
    return ClaimAnswer(
        claim=claim, place=place, finding=finding, why=why,
        trusted=all(a.trusted for a in cells),
    )  # fmt: skip


def shown(estimate: Interval, unit: str) -> str:
    """An estimate with its interval, in words."""
    return f"{estimate.value:+.2f} {unit} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _cell(a: Answer) -> str:
    return f"{a.vmas} VMAs, {a.written_pages} pages, {a.naming}:{a.name_length}"
