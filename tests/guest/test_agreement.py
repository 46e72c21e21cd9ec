"""Real kernels held against the model, from outside the guest."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.conformance.agree import AgreePlan, agree
from harness.conformance.playing import Found, Playing
from harness.conformance.replaying import check_recording
from harness.divergence import Recording
from harness.targets import Accelerator, QemuTarget, UmlTarget
from harness.workload import NamingKind, NamingScheme, layout_of
from harness.workload.gen import Theme
from harness.workload.layout_steps import layout_steps

pytestmark = pytest.mark.guest

PLAN = AgreePlan(operations=4_800, seed=2021, length=400, guests=2)


@pytest.mark.parametrize("variant", ["refcount", "strdup"])
@pytest.mark.parametrize("base", ["6.12", "6.1"])
def test_the_model_and_a_kernel_agree(
    uml_target: Callable[..., UmlTarget], variant: str, base: str
) -> None:
    target = uml_target(variant, base)

    agreement = agree(
        PLAN, lambda stop: replace(target, stop=stop), on_step=lambda step: None
    )

    assert agreement.found is None, agreement.found.divergence.headline
    assert agreement.operations == PLAN.operations
    assert agreement.traces == 2 * len(Theme)


@pytest.mark.first
def test_they_agree_on_arm64(boot_target: Callable[..., QemuTarget]) -> None:
    target = replace(boot_target("switch"), accelerator=Accelerator.TCG)
    plan = replace(PLAN, operations=2_400)

    agreement = agree(
        plan, lambda stop: replace(target, stop=stop), on_step=lambda step: None
    )

    assert agreement.found is None, agreement.found.divergence.headline
    assert agreement.operations == plan.operations


def test_a_process_of_65536_named_vmas_is_judged_whole(
    uml_target: Callable[..., UmlTarget], console: Path
) -> None:
    layout = layout_of(65_536, 0)
    steps = layout_steps(layout, NamingScheme(NamingKind.DISTINCT, 79))
    recordings: list[Recording] = []
    found: list[Found] = []
    playing = Playing(
        layout.arena_pages, [steps], found.append, keep=recordings.append, at_end=True
    )

    playing.run(uml_target("refcount"), console)

    assert found == []
    (change,) = recordings[0].seen[-1].changes
    assert len(change.lines) == 65_536 + 2
    assert check_recording(recordings[0]) is None


def test_a_guest_that_is_stopped_leaves_nothing(
    uml_target: Callable[..., UmlTarget],
) -> None:
    stops: list[threading.Event] = []
    target = uml_target("refcount")

    def targets(stop: threading.Event) -> UmlTarget:
        stops.append(stop)
        return replace(target, stop=stop)

    def interrupt(step: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agree(PLAN, targets, on_step=interrupt)
    assert all(stop.is_set() for stop in stops)
