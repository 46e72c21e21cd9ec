"""The kernels that a campaign measures, each with the target that runs it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from harness.arch import UM, Arch, arch_named
from harness.errors import UnsupportedError, UsageError
from harness.host.scratch import scratch_folder
from harness.kbuild import build_kernel, variant_named
from harness.targets import (
    Accelerator,
    Deadlines,
    GuestTarget,
    HostTarget,
    QemuTarget,
    UmlTarget,
    arch_of_image,
    best_accelerator,
    guest_root,
    host_facts,
)
from harness.worker.measure import Conditions, Job, Record, Run
from harness.worker.measure.facts import KernelFacts
from harness.workload import Store

HOST, UML, QEMU = "host", "uml", "qemu"
TARGETS = (HOST, UML, QEMU)

# The name of the variant in records of a kernel that the user gave.
OWN = "own"


class Target(Protocol):
    """Runs jobs on one kernel."""

    @property
    def conditions(self) -> Conditions:
        """The conditions under which it measures."""

    def run_job(
        self, job: Job, on_record: Callable[[Record], None], console: Path
    ) -> None:
        """Run a worker's job; ``on_record`` gets each record when it arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChoice:
    """The target that the user chose.

    ``arch`` is the architecture of a QEMU guest. ``accelerator`` is None for the best
    one that works. ``kernel`` is the user's kernel image, used instead of a variant.
    """

    kind: str
    arch: str = "aarch64"
    accelerator: Accelerator | None = None
    kernel: Path | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)

    @property
    def foreign(self) -> bool:
        """Whether its kernel was not built by this project."""
        return self.kind == HOST or self.kernel is not None

    @property
    def machine(self) -> Arch:
        """The architecture of its guests: User-Mode Linux or a machine of QEMU."""
        return UM if self.kind == UML else arch_named(self.arch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One kernel of a campaign: what its records contain, and how to run it.

    ``title`` is its name in messages. ``built`` is True for a variant of ours.
    ``stores`` are the ways in which it can store names. Its records must have this
    ``config_sha256``, and a release that ends in ``release_end``.
    """

    name: str
    title: str
    built: bool
    base: str
    stores: tuple[Store, ...]
    config_sha256: str | None
    release_end: str
    target: Callable[[threading.Event], Target]

    @property
    def conditions(self) -> Conditions:
        """The conditions under which its target measures."""
        return self.target(threading.Event()).conditions

    def is_kernel_of(self, run: Run) -> bool:
        """Whether a run was recorded on this kernel."""
        return (
            run.kernel_release.endswith(self.release_end)
            and run.config_sha256 == self.config_sha256
        )

    def has_run(self, run: Run) -> bool:
        """Whether a run is of this kernel, under the conditions of its target."""
        conditions = self.conditions
        return (
            (run.variant, run.base) == (self.name, self.base)
            and (run.target, run.accelerator, run.unit)
            == (conditions.target, conditions.accelerator, conditions.unit.value)
            and self.is_kernel_of(run)
        )


def guest_target(
    choice: TargetChoice, kernel: Path, *, on_step: Callable[[str], None]
) -> GuestTarget:
    """The target that boots a kernel, as chosen."""
    if choice.kind == UML:
        return UmlTarget(kernel=kernel, deadlines=choice.deadlines)
    arch = arch_named(choice.arch)
    on_step("making the guest's root")
    guest_root(arch)
    target = QemuTarget(arch=arch, kernel=kernel, deadlines=choice.deadlines)
    accelerator = choice.accelerator
    if accelerator is None:
        on_step("trying KVM")
        accelerator = best_accelerator(target)
    return replace(target, accelerator=accelerator)


def variant_target(
    choice: TargetChoice, variant: str, base: str, *, on_step: Callable[[str], None]
) -> tuple[GuestTarget, str]:
    """The target of a variant, and its configuration's hash; builds it if needed."""
    kernel = build_kernel(variant_named(variant), base, choice.machine, on_step=on_step)
    return guest_target(choice, kernel.image, on_step=on_step), kernel.config_sha256


def chosen_target(
    choice: TargetChoice, variant: str, base: str, *, on_step: Callable[[str], None]
) -> GuestTarget:
    """The target of the user's kernel or, without one, of a variant.

    Raises UsageError if the kernel does not fit the target.
    """
    if choice.kernel is None:
        return variant_target(choice, variant, base, on_step=on_step)[0]
    fitted = fitted_choice(choice, choice.kernel)
    return guest_target(fitted, choice.kernel, on_step=on_step)


def subjects_of(
    choice: TargetChoice,
    variants: Sequence[str],
    base: str,
    *,
    on_step: Callable[[str], None],
) -> list[Subject]:
    """The kernels that a target runs.

    Variants are built. The user's kernel is booted once to read its facts; the facts
    of the running kernel are read directly. Raises UsageError if the kernel does not
    fit the target, UnsupportedError if the probe found the kernel faulty.
    """
    if choice.kind == HOST:
        on_step("reading the facts of the running kernel")
        facts = host_facts()

        def on_host(stop: threading.Event) -> Target:
            conditions = facts.conditions(HOST)
            return HostTarget(
                conditions=conditions, deadlines=choice.deadlines, stop=stop
            )

        return [_subject_from_facts(HOST, facts, on_host)]
    if choice.kernel is not None:
        kernel = choice.kernel
        own = guest_target(fitted_choice(choice, kernel), kernel, on_step=on_step)
        on_step(f"booting {kernel} to read its facts")
        with scratch_folder() as scratch:
            facts = own.ask_facts(scratch / "console.txt")
        return [_subject_from_facts(OWN, facts, lambda stop: replace(own, stop=stop))]
    subjects = []
    for name in variants:
        target, digest = variant_target(choice, name, base, on_step=on_step)
        subjects.append(
            Subject(
                name=name,
                title=f"variant {name}",
                built=True,
                base=base,
                stores=variant_named(name).stores,
                config_sha256=digest,
                release_end=f"-{name}",
                target=_with_stop(target),
            )
        )
    return subjects


def fitted_choice(choice: TargetChoice, kernel: Path) -> TargetChoice:
    """The choice, with the architecture of a kernel image.

    Raises UsageError if the image does not fit the chosen target.
    """
    arch = arch_of_image(kernel)
    kind = UML if arch == UM.name else QEMU
    if kind != choice.kind:
        raise UsageError(f"{kernel} is a kernel for --target {kind}, not {choice.kind}")
    return choice if kind == UML else replace(choice, arch=arch)


def _with_stop(target: GuestTarget) -> Callable[[threading.Event], Target]:
    return lambda stop: replace(target, stop=stop)


def _subject_from_facts(
    name: str, facts: KernelFacts, target: Callable[[threading.Event], Target]
) -> Subject:
    if facts.support == "faulty":
        raise UnsupportedError(f"linux {facts.release}: {facts.reason}")
    return Subject(
        name=name,
        title=f"linux {facts.release} ({name})",
        built=False,
        base=facts.base,
        stores=facts.stores,
        config_sha256=facts.config_sha256,
        release_end=facts.release,
        target=target,
    )
