"""Facts about a running kernel, which planning needs.

Standard library only. ``python3 -m harness.worker.measure.facts FD`` writes the facts
as one line of JSON to file descriptor FD.
"""

import contextlib
import json
import os
import re
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import RecordError, UsageError
from harness.linux import (
    AnonNameSupport,
    config_digest,
    counts_instructions,
    cpu_name,
    die_with_parent,
    kernel_config,
    probe_anon_name,
)
from harness.linux.started import keep_ended_children, open_descriptor, say
from harness.worker.measure.arena import CLOCK, Arena
from harness.worker.measure.conditions import EMULATED, ICOUNT, SILICON_HOST, Conditions
from harness.worker.measure.records import Unit
from harness.worker.measure.store import has_switch
from harness.workload import Layout, NamingKind, NamingScheme, Store

# So many names that their copies show clearly in the size of the kernel's slabs.
# Together with the process's other VMAs still below the default vm.max_map_count.
_PROBE_VMAS = 32_768
_PROBE_ROUNDS = 3
_PROBE_NAMING = NamingScheme(NamingKind.DISTINCT, 79)

# The names of QEMU's emulated processors. On aarch64, "-cpu max" has implementer 0,
# which Arm reserves for software.
_EMULATED_CPUS = ("QEMU Virtual CPU", "QEMU TCG CPU", "0x00 ")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """A running kernel: its version, how it stores names, and what its clock counts.

    ``support`` and ``reason`` are the result of the probe. ``stores`` and ``counts``
    were measured, not concluded from the version. ``cpu`` is the kernel's name for its
    CPU.
    """

    release: str
    machine: str
    support: str
    reason: str
    stores: tuple[Store, ...]
    config_sha256: str | None
    counts: Unit
    cpu: str

    @property
    def base(self) -> str:
        """The first two numbers of the release, such as 6.12."""
        match = re.match(r"\d+\.\d+", self.release)
        return match[0] if match else self.release

    @property
    def named(self) -> bool:
        """Whether the kernel supports anonymous names."""
        return self.support == AnonNameSupport.SUPPORTED.value

    def conditions(self, target: str) -> Conditions:
        """The conditions for a worker that is started by itself on this kernel."""
        if self.counts is Unit.INSNS:
            return replace(ICOUNT, target=target)
        emulated = self.cpu.startswith(_EMULATED_CPUS)
        return replace(EMULATED if emulated else SILICON_HOST, target=target)


def kernel_facts() -> KernelFacts:
    """The facts about the running kernel."""
    probe = probe_anon_name()
    config = kernel_config()
    kernel = os.uname()
    stores: tuple[Store, ...] = (Store.ABSENT,)
    if probe.support is AnonNameSupport.SUPPORTED:
        both = (Store.REFCOUNTED, Store.STRDUP)
        stores = both if has_switch() else (probe_store(),)
    return KernelFacts(
        release=kernel.release,
        machine=kernel.machine,
        support=probe.support.value,
        reason=probe.reason,
        stores=stores,
        config_sha256=None if config is None else config_digest(config),
        counts=Unit.INSNS if counts_instructions(CLOCK) else Unit.NS,
        cpu=cpu_name(),
    )


def probe_store() -> Store:
    """Probe whether fork copies names, by the kernel memory that a child takes.

    VMAs and names are part of SUnreclaim (/proc/meminfo). A child with unnamed VMAs is
    compared with a child with named VMAs. Copied names add at least 84 bytes per VMA,
    shared names add nothing. This needs no root.
    """
    with Arena(Layout(vmas=_PROBE_VMAS), seed=0) as arena:
        unnamed = [_child_takes() for _ in range(_PROBE_ROUNDS)]
        arena.name(_PROBE_NAMING)
        named = [_child_takes() for _ in range(_PROBE_ROUNDS)]
    extra = statistics.median(named) - statistics.median(unnamed)
    copied = _PROBE_VMAS * (_PROBE_NAMING.length + 1)
    return Store.STRDUP if extra > copied / 2 else Store.REFCOUNTED


def render_facts(facts: KernelFacts) -> bytes:
    """The facts as one line of JSON."""
    document = asdict(facts)
    document["stores"] = [store.value for store in facts.stores]
    document["counts"] = facts.counts.value
    return json.dumps(document).encode() + b"\n"


def parse_facts(line: bytes) -> KernelFacts:
    """The inverse of ``render_facts``; RecordError for anything else."""
    try:
        # Any: what JSON holds is unknown until it is checked here.
        found: Any = json.loads(line)
        stores = tuple(Store(store) for store in found.pop("stores"))
        counts = Unit(found.pop("counts"))
        texts = [v for k, v in found.items() if k != "config_sha256" or v is not None]
        if not stores or not all(isinstance(text, str) for text in texts):
            raise ValueError("a fact has the wrong type")
        return KernelFacts(stores=stores, counts=counts, **found)
    except (
        ValueError, KeyError, TypeError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        raise RecordError(line, f"not a kernel's facts ({error!r})") from None


def _child_takes() -> int:
    before = _unreclaimable()
    with _held_child():
        return _unreclaimable() - before


@contextlib.contextmanager
def _held_child() -> Iterator[None]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Even an interrupt must not let the child go on with the parent's code.
        try:
            die_with_parent()
            os.close(writing)
            os.read(reading, 1)
        finally:
            os._exit(0)
    os.close(reading)
    try:
        yield
    finally:
        os.close(writing)
        os.waitpid(pid, 0)


def _unreclaimable() -> int:
    text = Path("/proc/meminfo").read_text()
    match = re.search(r"^SUnreclaim:\s+(\d+) kB$", text, re.MULTILINE)
    if match is None:
        raise OSError("/proc/meminfo has no line SUnreclaim")
    return int(match[1]) * 1024


def main(arguments: list[str]) -> int:
    """Write the facts; the exit status is 0, or that of the UsageError."""
    keep_ended_children()
    try:
        if len(arguments) != 1:
            raise UsageError(
                f"expected one argument, a descriptor, not {len(arguments)} arguments"
            )
        fd = open_descriptor(arguments[0])
    except UsageError as error:
        say(f"facts: {error}")
        return error.status
    os.write(fd, render_facts(kernel_facts()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
