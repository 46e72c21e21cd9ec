"""The conditions under which targets measure: clocks, sleeps and sysctls."""

from dataclasses import dataclass, replace

from harness.worker.measure.records import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How a target measures; its records contain all of this.

    ``target`` is host, uml or qemu. ``accelerator`` is what executes its code, ``unit``
    what its clock counts. A process sleeps ``settle_ms`` before each fork and
    ``rest_ms`` now and then while it makes its VMAs, in milliseconds of that clock.
    ``settings`` are sysctls, by dotted name; they are set while it measures and put
    back afterwards. If ``unusable`` is not empty, every sample is marked invalid, with
    this as the reason.
    """

    target: str
    accelerator: str
    unit: Unit
    settle_ms: int
    rest_ms: int = 0
    settings: tuple[tuple[str, str], ...] = ()
    unusable: str = ""


# Since 6.7 the kernel fetches up to 2016 pages at once for a CPU's page list
# (mm/page_alloc.c nr_pcp_alloc()). That takes 118 000 instructions in one fork and none
# in the next. With the smallest lists, each fork pays for its own pages.
_SMALL_PAGE_LISTS = (("vm.percpu_pagelist_high_fraction", "1000000"),)

# The kernel stops a SCHED_FIFO process that has run for 0.95 of a second and lets other
# tasks run (kernel/sched/rt.c). In a fork of a million VMAs the child would run before
# fork has copied all names. This setting prevents that. From 6.12 on the fair server
# does the same whatever is set (kernel/sched/deadline.c): such samples are marked
# invalid.
_NO_THROTTLING = (("kernel.sched_rt_runtime_us", "-1"),)
_OURS = (*_SMALL_PAGE_LISTS, *_NO_THROTTLING)

# Under QEMU, counting instructions. QEMU skips idle time, so sleeping is free. The work
# that the exit of the previous child started (RCU, page lists) ends before the next
# fork begins.
ICOUNT = Conditions(
    target="qemu",
    accelerator="tcg icount shift=0",
    unit=Unit.INSNS,
    settle_ms=2_000,
    # Building frees tree nodes through RCU. Without rests, the phase of the timer ticks
    # decides how many slabs are half empty when fork allocates nodes. That makes a
    # difference of 57 000 instructions in 50 million between processes.
    rest_ms=50,
    settings=_OURS,
)

# On real hardware, in a guest (KVM). The work that the previous exit started is mostly
# over after this sleep.
SILICON_GUEST = Conditions(
    target="qemu",
    accelerator="kvm",
    unit=Unit.NS,
    settle_ms=20,
    settings=_OURS,
)

# On real hardware, on the host: no setting of the user's machine is changed.
SILICON_HOST = replace(SILICON_GUEST, target="host", accelerator="native", settings=())

EMULATED = replace(
    SILICON_GUEST,
    accelerator="tcg",
    unusable="wall-clock under emulation is neither time nor instructions",
)
