"""Real kernels, looked into: what they hold is what the model predicts."""

from pathlib import Path

import pytest

from harness.arch import arch_named
from harness.audit.audit import audit_kernel, records_of
from harness.conformance.mutants import AUDIT_PLAN, audit_mutant
from harness.errors import EnvironmentFault
from harness.kbuild import BuiltKernel, build_kernel, readable, variant_named
from harness.kbuild.mutant import BASE, mutant_named, mutant_variant
from harness.targets import QemuTarget, guest_root
from harness.worker.measure import Count, RunEnd

pytestmark = [pytest.mark.guest, pytest.mark.timeout(1200)]

ARCH = arch_named("aarch64")


def target_of(kernel: BuiltKernel) -> QemuTarget:
    guest_root(ARCH)
    return QemuTarget(arch=ARCH, kernel=kernel.image)


@pytest.mark.parametrize(
    ("variant", "made_by_fork"), [("refcount", 0), ("strdup", 256)]
)
def test_a_kernel_holds_what_is_predicted(variant: str, made_by_fork: int) -> None:
    kernel = build_kernel(readable(variant_named(variant)), BASE, ARCH, on_step=print)

    found = audit_kernel(
        AUDIT_PLAN, kernel, target_of(kernel), campaign="test", on_step=print
    )

    assert found.divergences == ()
    # Two cells of 256 VMAs, with two children each, and what traces named.
    assert found.vmas > 2 * 3 * 256
    records = list(records_of(found))
    assert [r.valid for r in records if isinstance(r, RunEnd)] == [True, True]
    made = {
        (record.step, record.counted)
        for record in records
        if isinstance(record, Count) and record.what == "allocated"
    }
    assert {("fork 1", made_by_fork), ("fork 2", made_by_fork)} <= made


@pytest.mark.parametrize("name", ["rename-leaks-a-reference", "merge-keeps-a-struct"])
def test_a_kernel_that_keeps_a_struct_too_many_is_seen(name: str) -> None:
    mutant = mutant_named(name)
    kernel = build_kernel(readable(mutant_variant(mutant)), BASE, ARCH, on_step=print)

    result = audit_mutant(mutant, kernel, target_of(kernel), on_step=print)

    assert result.as_expected
    assert "structs freed" in result.wrong_count


def test_a_dump_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    kernel = build_kernel(
        readable(variant_named("refcount")), BASE, ARCH, on_step=print
    )

    with pytest.raises(EnvironmentFault, match="memory cannot be written to"):
        target_of(kernel).dump_when_ready(
            ["/bin/busybox", "echo", "held"], lambda _: True, tmp_path / "no" / "dump",
            tmp_path / "console.txt", mib=256, files={},
        )  # fmt: skip
