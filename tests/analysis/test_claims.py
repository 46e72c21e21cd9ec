from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis import Arm, Effect, Interval, Place, cell_effects, load
from harness.analysis.claims import Claim, Finding, answer_claims
from harness.analysis.stats import Judged, Verdict

DATA = Path(__file__).parents[2] / "notebooks/data"
TIME = Place(
    base="6.12", target="uml", machine="x86_64", accelerator="native", unit="ns",
    variant="switch",
)  # fmt: skip
INSNS = replace(TIME, target="qemu", machine="aarch64", unit="insns")


def effect(
    percent: tuple[float, float],
    *,
    store: str = "strdup",
    vmas: int = 65_536,
    place: Place = TIME,
    verdict: Verdict = Verdict.REGRESSED,
    kind: str = "bootstrap",
) -> Effect:
    """What names cost, with an interval from one percentage to the other."""
    low, high = percent
    estimate = Interval((low + high) / 2, low, high, 8, kind)
    return Effect(
        place=place, metric="fork",
        arm=Arm(vmas=vmas, vma_pages=1, written_pages=0, store=store,
                naming="distinct", name_length=63),
        unnamed=estimate, named=estimate, extra=estimate, percent=estimate,
        boots=tuple(("s", boot) for boot in range(8)),
        unnamed_by_boot=(1.0,) * 8, named_by_boot=(1.0,) * 8, extra_by_boot=(1.0,) * 8,
        # Even about the middle, as wide as the interval.
        percent_by_boot=tuple(low + (high - low) * boot / 7 for boot in range(8)),
        judged=Judged(verdict), trusted=True,
    )  # fmt: skip


def findings(claims: list[Claim]) -> list[Finding]:
    """What was found about each."""
    return [claim.finding for claim in claims]


@pytest.mark.parametrize(
    ("percent", "finding"),
    [
        ((33.5, 39.8), Finding.REPRODUCED),
        # Slower, but it is not what was published: that once confirmed it.
        ((0.4, 0.6), Finding.SMALLER),
        ((39.4, 39.5), Finding.SMALLER),
        ((40.0, 50.0), Finding.LARGER),
        # No effect, and the published one: that interval decides nothing.
        ((-5.0, 60.0), Finding.UNDECIDED),
    ],
)
def test_a_figure_is_held_against_the_published_one(
    percent: tuple[float, float], finding: Finding
) -> None:
    assert findings(answer_claims([effect(percent)])) == [finding]


def test_the_range_of_few_boots_decides_nothing() -> None:
    (claim,) = answer_claims([effect((33.0, 40.0), kind="range")])

    assert claim.finding is Finding.UNDECIDED


@pytest.mark.parametrize(
    ("shared", "finding"),
    [
        ((9.9, 11.1), Finding.REPRODUCED), ((2.0, 3.0), Finding.LARGER),
        ((19.0, 21.0), Finding.SMALLER),
    ],
)  # fmt: skip
def test_a_reduction_is_held_against_three_to_four_times(
    shared: tuple[float, float], finding: Finding
) -> None:
    found = [effect((34, 36)), effect(shared, store="refcounted")]

    _, reducing = answer_claims(found)

    assert (reducing.finding, reducing.unit) == (finding, "times")


@pytest.mark.parametrize(
    ("verdicts", "finding"),
    [
        ([Verdict.EQUIVALENT, Verdict.EQUIVALENT], Finding.REPRODUCED),
        ([Verdict.EQUIVALENT, Verdict.INCONCLUSIVE], Finding.UNDECIDED),
        ([Verdict.EQUIVALENT, Verdict.REGRESSED], Finding.LARGER),
    ],
)
def test_not_measurable_takes_an_equivalence_test_that_passed(
    verdicts: list[Verdict], finding: Finding
) -> None:
    found = [
        effect((0.1, 0.2), store="refcounted", vmas=4000 + at, verdict=verdict)
        for at, verdict in enumerate(verdicts)
    ]

    assert findings(answer_claims(found)) == [finding]


@pytest.mark.parametrize("percent", [(0.1, 0.2), (25.0, 26.0), (39.0, 40.0)])
def test_instructions_decide_nothing_about_time(percent: tuple[float, float]) -> None:
    cells = [
        effect(percent, place=INSNS),
        effect(percent, place=INSNS, store="refcounted"),
        effect(
            percent, place=INSNS, store="refcounted", vmas=4000,
            verdict=Verdict.EQUIVALENT,
        ),
    ]  # fmt: skip

    told = answer_claims(cells)

    assert findings(told) == [Finding.NOT_TIME] * 3
    assert all("of instructions" in claim.words for claim in told)


def test_claims_are_answered_from_the_shipped_data() -> None:
    def answered(name: str) -> list[Finding]:
        found = cell_effects(load(DATA / f"{name}.parquet"), margin=2)
        return findings(answer_claims(found))

    assert answered("published-6.12-arm64") == [Finding.NOT_TIME] * 3
    assert answered("published-6.12-uml") == [
        Finding.REPRODUCED, Finding.LARGER, Finding.UNDECIDED,
    ]  # fmt: skip
