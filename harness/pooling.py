"""Which runs may be pooled: those of a kernel in a place of which these facts agree."""

from harness.measure import Run

# A kernel, and where it runs on which clock; and the facts that must then be the
# same for two runs to be pooled.
KERNEL = ("variant", "base", "target", "machine", "accelerator", "unit")
MUST_MATCH = (
    "build_id", "config_sha256", "kernel_release", "cpu", "clock",
    "settle_ms", "rest_ms", "settings", "harness", "python",
)  # fmt: skip


def why_not_pooled(one: Run, other: Run) -> str | None:
    """The first fact that differs between two runs of a kernel, with both values."""
    for fact in MUST_MATCH:
        values = getattr(one, fact), getattr(other, fact)
        if values[0] != values[1]:
            return f"{fact} differs: {values[0]!r}, {values[1]!r}"
    return None
