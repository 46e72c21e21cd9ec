"""What a running kernel is, before anything is planned for it.

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

# Enough names for their copies to stand out in what the kernel's slabs hold;
# with what else a process maps, fewer than vm.max_map_count is by default.
_PROBE_VMAS = 32_768
_PROBE_ROUNDS = 3
_PROBE_NAMING = NamingScheme(NamingKind.DISTINCT, 79)

# What QEMU's emulated processors call themselves: on aarch64 with "-cpu max" an
# implementer of 0, which Arm reserves for software.
_EMULATED_CPUS = ("QEMU Virtual CPU", "QEMU TCG CPU", "0x00 ")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """A running kernel: how it can keep names, and what the probe said of it.

    ``stores`` is what it was seen to do, not what its version promises;
    ``counts`` what its clock was seen to count; ``cpu`` what it calls its CPU.
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
        """The release's first two numbers: 6.12."""
        match = re.match(r"\d+\.\d+", self.release)
        return match[0] if match else self.release

    @property
    def named(self) -> bool:
        """Whether the kernel keeps names at all."""
        return self.support == AnonNameSupport.SUPPORTED.value

    def conditions(self, target: str) -> Conditions:
        """How a worker measures that is started on this kernel, by itself."""
        if self.counts is Unit.INSNS:
            return replace(ICOUNT, target=target)
        emulated = self.cpu.startswith(_EMULATED_CPUS)
        return replace(EMULATED if emulated else SILICON_HOST, target=target)


def kernel_facts() -> KernelFacts:
    """Ask the running kernel."""
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
    """Whether fork copies names, seen in how much memory a child takes.

    The kernel holds SUnreclaim (/proc/meminfo) bytes for VMAs and names. While
    a child lives, names that were copied add 84 bytes a VMA or more to what
    the child of unnamed VMAs takes, shared ones nothing; needs no root.
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
        # Whatever comes, an interrupt too: it does not go on as its parent.
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
    """Write the facts; 0, or what UsageError says."""
    keep_ended_children()
    try:
        if len(arguments) != 1:
            raise UsageError(f"expected a descriptor, not {len(arguments)} words")
        fd = open_descriptor(arguments[0])
    except UsageError as error:
        say(f"facts: {error}")
        return error.status
    os.write(fd, render_facts(kernel_facts()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
