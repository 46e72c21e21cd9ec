"""How targets measure: what their clocks count, and what is set while they do."""

from dataclasses import dataclass, replace

from harness.worker.measure.records import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How a target measures, which its records must say.

    ``target`` is host, uml or qemu; ``accelerator`` what runs its code; ``unit``
    what its clock counts. A process sleeps, in milliseconds of that clock,
    ``settle_ms`` before each fork and ``rest_ms`` now and then while it makes its
    VMAs. ``settings`` are sysctls, by dotted name, in force while it measures
    and put back after. Where ``unusable`` is not empty it is the reason why
    every sample is marked invalid.
    """

    target: str
    accelerator: str
    unit: Unit
    settle_ms: int
    rest_ms: int = 0
    settings: tuple[tuple[str, str], ...] = ()
    unusable: str = ""


# Since 6.7 the kernel fetches up to 2016 pages at a time for a CPU's page list
# (mm/page_alloc.c nr_pcp_alloc()): 118 000 instructions, in one fork and not in
# the next. With the lists at their least, each pays for the pages it takes.
_SMALL_PAGE_LISTS = (("vm.percpu_pagelist_high_fraction", "1000000"),)

# A process of SCHED_FIFO that runs for 0.95 of a second has to let others run
# (kernel/sched/rt.c): the child, while fork of a million VMAs still copies names.
# From 6.12 on the fair server does so whatever is set (kernel/sched/deadline.c):
# such samples are marked invalid.
_NO_THROTTLING = (("kernel.sched_rt_runtime_us", "-1"),)
_OURS = (*_SMALL_PAGE_LISTS, *_NO_THROTTLING)

# Under QEMU, counting instructions. Idle time is skipped, so rest is free: what
# the exit of the child before set off (RCU, page lists) is over when the next
# fork begins.
ICOUNT = Conditions(
    target="qemu",
    accelerator="tcg icount shift=0",
    unit=Unit.INSNS,
    settle_ms=2_000,
    # Building frees tree nodes through RCU. Without rest it is the phase of the
    # ticks that decides how many slabs lie half empty when fork asks for nodes:
    # 57 000 instructions of 50 million, in one process and not in the next.
    rest_ms=50,
    settings=_OURS,
)

# On silicon, in a guest of ours. What the exit before set off is mostly over.
SILICON_GUEST = Conditions(
    target="qemu",
    accelerator="kvm",
    unit=Unit.NS,
    settle_ms=20,
    settings=_OURS,
)

# On silicon, on somebody's machine: no setting of theirs is touched for it.
SILICON_HOST = replace(SILICON_GUEST, target="host", accelerator="native", settings=())

EMULATED = replace(
    SILICON_GUEST,
    accelerator="tcg",
    unusable="wall-clock under emulation is neither time nor instructions",
)
