"""Which runs may be pooled: those of a kernel in a place of which these facts agree."""

from harness.worker.measure import Run, Unit

# A kernel, and where it runs on which clock; and the facts that must then be the
# same for two runs to be pooled.
KERNEL = ("variant", "base", "target", "machine", "accelerator", "unit")
_ALWAYS = (
    "build_id", "config_sha256", "kernel_release", "cpu", "clock",
    "settle_ms", "rest_ms", "settings", "protocol",
)  # fmt: skip
# Python's process is what is forked. Its instructions are always the same number, as
# it is filled up (harness.worker.measure.filling); its time depends on Python's code.
_OF_TIME = ("python",)
MUST_MATCH = (*_ALWAYS, *_OF_TIME)


def facts_to_match(unit: str) -> tuple[str, ...]:
    """Those of MUST_MATCH that count where a clock has this unit."""
    return MUST_MATCH if unit == Unit.NS.value else _ALWAYS


def why_not_pooled(one: Run, other: Run) -> str | None:
    """The first fact that differs between two runs of a kernel, with both values."""
    for fact in facts_to_match(one.unit):
        values = getattr(one, fact), getattr(other, fact)
        if values[0] != values[1]:
            return f"{fact} differs: {values[0]!r}, {values[1]!r}"
    return None
