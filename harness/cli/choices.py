"""Turns options into kernels and targets."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from harness.arch import QEMU_ARCHES, UM
from harness.cli.arguments import refuse_idle
from harness.errors import EnvironmentFault, NoSuchSource, UsageError
from harness.host.programs import printable
from harness.kbuild import (
    base_names,
    check_base,
    find_source,
    variant_named,
    variant_names,
)
from harness.targets import Accelerator, Deadlines, arch_of_image
from harness.targets.subjects import TARGETS, TargetChoice, fitted_choice


def chosen(words: tuple[str, ...], known: Sequence[str]) -> tuple[str, ...]:
    """The words, or everything in ``known`` if the only word is ``all``."""
    return tuple(known) if words == ("all",) else words


def bases_here() -> tuple[str, ...]:
    """Every base whose source is installed or can be installed here.

    A base that this Debian does not package is left out; a line on stderr says so.
    Raises NoSuchSource if no base is left.
    """
    bases, unavailable = [], []
    for base in base_names():
        try:
            find_source(base)
        except NoSuchSource as fault:
            unavailable.append(fault)
            continue
        except EnvironmentFault:
            # It is not installed, but can be: the build says how.
            pass
        bases.append(base)
    if not bases:
        raise unavailable[-1]
    for each in unavailable:
        print(f"anonvma: left out: {printable(str(each))}", file=sys.stderr)
    return tuple(bases)


def chosen_kernels(
    variants: tuple[str, ...],
    bases: tuple[str, ...],
    known: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The chosen variants and bases; ``all`` means every variant, or ``bases_here``.

    Raises UsageError for an unknown variant or base.
    """
    variants = chosen(variants, variant_names() if known is None else known)
    for variant in variants:
        variant_named(variant)
    if bases == ("all",):
        return variants, bases_here()
    for base in bases:
        check_base(base)
    return variants, bases


def choices_of(
    options: argparse.Namespace, limits: Deadlines
) -> tuple[TargetChoice, ...]:
    """Every chosen target; QEMU is one target per machine.

    Raises UsageError for an unknown target or machine, for a kernel that does not fit
    it, and for an option that has no effect.
    """
    _check_known("target", options.target, TARGETS)
    _check_known("machine of QEMU guests", options.arch, QEMU_ARCHES)
    kinds = options.target or ("qemu",)
    if options.kernel is not None and options.target is None:
        kinds = ("uml",) if arch_of_image(options.kernel) == UM.name else ("qemu",)
    _check_fit(options, kinds)
    accelerator = None if options.accel == "auto" else Accelerator(options.accel)
    choices = []
    for kind in kinds:
        choice = TargetChoice(
            kind=kind, accelerator=accelerator, kernel=options.kernel, deadlines=limits
        )
        if kind == "qemu":
            arches = options.arch or ("aarch64",)
            choices += [replace(choice, arch=arch) for arch in arches]
        else:
            choices.append(choice)
    if options.kernel is not None:
        return tuple(_fitted(choice, options) for choice in choices)
    return tuple(choices)


def _check_known(what: str, words: Sequence[str] | None, known: Sequence[str]) -> None:
    for word in words or ():
        if word not in known:
            raise UsageError(f"no {what} is called {word!r}; known: {', '.join(known)}")


def _fitted(choice: TargetChoice, options: argparse.Namespace) -> TargetChoice:
    fitted = fitted_choice(choice, options.kernel)
    if options.arch is not None and fitted.arch != choice.arch:
        raise UsageError(
            f"{options.kernel} is a kernel for --arch {fitted.arch}, not {choice.arch}"
        )
    return fitted


def _check_fit(options: argparse.Namespace, kinds: Sequence[str]) -> None:
    where = f"with --target {','.join(kinds)}"
    if options.kernel is not None:
        if "host" in kinds:
            raise UsageError(
                "--target host measures the running kernel: leave out --kernel"
            )
        refuse_idle(options, ("--variant", "--base"), "with --kernel")
    if {*kinds} == {"host"}:
        refuse_idle(options, ("--variant", "--base"), where)
    if "qemu" not in kinds:
        refuse_idle(options, ("--arch", "--accel"), f"{where}, only with qemu")


def one_choice(options: argparse.Namespace, command: str) -> TargetChoice:
    """The one target of a command that reads no clock; the default is uml."""
    if options.target is None and options.kernel is None and options.arch is None:
        options.target = ("uml",)
    if options.accel == "auto":
        # The command reads no clock, so QEMU need not count instructions.
        options.accel = Accelerator.TCG.value
    choices = choices_of(options, Deadlines(total_s=options.deadline))
    if len(choices) != 1:
        raise UsageError(
            f"{command} takes one kernel: give one --target and one --arch"
        )
    return choices[0]
