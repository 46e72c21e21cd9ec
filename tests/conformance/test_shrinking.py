"""A divergence made short, on a kernel that never shows it again."""

import pytest

from harness.conformance.playing import Found
from harness.conformance.shrinking import shrink
from harness.divergence import Divergence
from harness.workload.ops import Map, Protect, Step, Unmap
from tests.traces import HERE, recording_of

STEPS = (
    Step(0, Map(0, 8, 3)),
    Step(0, Protect(1, 1, 1)),
    *[Step(0, Unmap(0, 1))] * 98,
)


@pytest.mark.parametrize(
    ("kind", "left"), [("shape", 2), ("outcome", 2), ("complaint", 2), ("died", 100)]
)
def test_steps_after_the_divergence_go_though_no_other_can(
    kind: str, left: int
) -> None:
    """But not where a guest died: it may have done more than it told."""
    divergence = Divergence(kind=kind, index=1, step=STEPS[1], who=0)
    whole = recording_of(STEPS)
    found = Found(divergence=divergence, recording=whole, kernel=HERE)

    (short,) = shrink(
        found, lambda candidates: {}, together=400, on_step=lambda step: None
    )

    assert short.divergence == divergence
    assert short.recording.steps == STEPS[:left]
    assert short.recording.seen == whole.seen[:left]
