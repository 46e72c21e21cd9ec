"""Which runs may be pooled: those of one kernel and machine whose facts are equal."""

from harness.worker.measure import Run, Unit

# KERNEL identifies a kernel, its machine and its clock. For two such runs to be pooled,
# the facts below must be equal too.
KERNEL = ("variant", "base", "target", "machine", "accelerator", "unit")
_ALWAYS = (
    "build_id", "config_sha256", "kernel_release", "cpu", "clock",
    "settle_ms", "rest_ms", "settings", "protocol",
)  # fmt: skip
# The forked process is Python's. Its number of instructions does not depend on Python's
# version, because it is filled up (harness.worker.measure.filling); its time does.
_OF_TIME = ("python",)
MUST_MATCH = (*_ALWAYS, *_OF_TIME)


def facts_to_match(unit: str) -> tuple[str, ...]:
    """The facts of MUST_MATCH that must be equal for samples in this unit."""
    return MUST_MATCH if unit == Unit.NS.value else _ALWAYS


def why_not_pooled(one: Run, other: Run) -> str | None:
    """The first fact that differs between two runs, with both values; None if equal."""
    for fact in facts_to_match(one.unit):
        values = getattr(one, fact), getattr(other, fact)
        if values[0] != values[1]:
            return f"{fact} differs: {values[0]!r}, {values[1]!r}"
    return None
