"""Commands that boot guests: boot, kselftest."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.cli.arguments import (
    add_kernel,
    add_kernels,
    add_target,
    count,
    path,
    refuse_idle,
    seconds,
)
from harness.cli.choices import choices_of, chosen_kernels
from harness.cli.command import Command
from harness.cli.paths import check_given_folder
from harness.cli.progress import Progress
from harness.errors import UsageError
from harness.host.scratch import scratch_folder
from harness.kselftest.ktap import Outcome, render_opening, render_result
from harness.kselftest.running import guests_of, run_selftest
from harness.targets import (
    COMMAND_MIB,
    IMAGE_MIB,
    Accelerator,
    Deadlines,
    GuestTarget,
    QemuTarget,
    UmlTarget,
    read_image,
)
from harness.targets.subjects import TargetChoice, chosen_target

_OF_AN_IMAGE = ("--variant", "--base", "--target", "--arch", "--kernel")


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRequest:
    """The arguments of ``anonvma boot``; without a command it starts a shell.

    ``image`` is a folder of ``anonvma image``, which has its own kernel. ``share``
    lists folders that a UML guest may write to. None for ``memory_mib`` means the
    default.
    """

    choice: TargetChoice
    variant: str
    base: str
    image: Path | None
    share: tuple[Path, ...]
    memory_mib: int | None
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KselftestRequest:
    """The arguments of ``anonvma kselftest``: each of ``choices`` runs every kernel."""

    choices: tuple[TargetChoice, ...]
    variants: tuple[str, ...]
    bases: tuple[str, ...]


def _add_boot(sub: argparse.ArgumentParser) -> None:
    add_kernel(sub, variant="switch")
    add_target(sub, "kind of guest: qemu or uml (default: qemu)", single=True)
    sub.add_argument(
        "--image",
        type=path,
        metavar="DIR",
        help="boot a folder that anonvma image made",
    )
    sub.add_argument(
        "--share",
        type=path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder that the guest may write to (only uml; may be repeated)",
    )
    sub.add_argument(
        "--memory", type=count, metavar="MIB",
        help=f"memory of the guest (default: {COMMAND_MIB}, with --image {IMAGE_MIB})",
    )  # fmt: skip
    sub.add_argument(
        "--deadline",
        type=seconds,
        default=3600.0,
        metavar="S",
        help="seconds until a command counts as hung (default: 3600)",
    )
    sub.add_argument(
        "command",
        nargs="*",
        metavar="-- COMMAND",
        help="command to run, else a shell; boot exits with its status",
    )


def _boot_request(options: argparse.Namespace, _: Sequence[str]) -> BootRequest:
    if options.image is not None:
        refuse_idle(options, _OF_AN_IMAGE, "with --image, which has its own kernel")
    limit = options.deadline
    limits = Deadlines(boot_s=limit, silence_s=limit, total_s=limit)
    choices = choices_of(options, limits)
    if len(choices) != 1 or choices[0].kind == "host":
        raise UsageError(
            "boot starts one guest: give --target qemu or uml, and one --arch"
        )
    if options.share and choices[0].kind != "uml":
        raise UsageError("only User-Mode Linux guests can share folders: add "
                         "--target uml")  # fmt: skip
    return BootRequest(
        choice=choices[0],
        variant=options.variant,
        base=options.base,
        image=options.image,
        share=tuple(options.share),
        memory_mib=options.memory,
        command=tuple(options.command),
    )


def boot(request: BootRequest) -> int:
    """Run one command in a guest, or a shell on this terminal."""
    if not request.command and not sys.stdin.isatty():
        raise UsageError("a shell needs a terminal: give a command after --")
    for folder in request.share:
        check_given_folder("--share", folder)
    with Progress() as progress:
        target = _boot_target(request, progress)
    mib = request.memory_mib or (IMAGE_MIB if request.image else COMMAND_MIB)
    with scratch_folder() as scratch:
        console = scratch / "console.txt"
        if not request.command:
            return target.run_shell(console, mib=mib)
        return target.run_command(
            request.command,
            lambda chunk: _write_all(sys.stdout.fileno(), chunk),
            console,
            mib=mib,
        )


def _boot_target(request: BootRequest, progress: Progress) -> GuestTarget:
    choice = request.choice
    if request.image is not None:
        image = read_image(request.image)
        return QemuTarget(
            arch=image.arch, kernel=image.kernel, root=image.root,
            deadlines=choice.deadlines,
            accelerator=choice.accelerator or Accelerator.ICOUNT,
        )  # fmt: skip
    target = chosen_target(choice, request.variant, request.base, on_step=progress.step)
    if isinstance(target, UmlTarget):
        return replace(target, share=request.share)
    return target


def _write_all(fd: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(fd, chunk) :]


def _add_kselftest(sub: argparse.ArgumentParser) -> None:
    add_kernels(sub, variant="refcount")
    add_target(sub, "kinds of guests: qemu, uml or both (default: qemu)", single=False)
    sub.add_argument(
        "--deadline",
        type=seconds,
        default=300.0,
        metavar="S",
        help="seconds until a guest counts as hung (default: 300)",
    )


def _kselftest_request(
    options: argparse.Namespace, _: Sequence[str]
) -> KselftestRequest:
    limit = options.deadline
    choices = choices_of(
        options, Deadlines(boot_s=limit, silence_s=limit, total_s=limit)
    )
    if any(choice.kind == "host" for choice in choices):
        raise UsageError("kselftest runs in guests: give --target qemu, uml or both")
    variants, bases = chosen_kernels(options.variants, options.bases)
    return KselftestRequest(choices=choices, variants=variants, bases=bases)


def kselftest(request: KselftestRequest) -> int:
    """Print one KTAP report with a result per guest. Returns 1 unless all pass."""
    passed = True
    with Progress() as progress, scratch_folder() as scratch:
        guests = guests_of(
            request.choices, request.variants, request.bases, on_step=progress.step
        )
        progress.result(render_opening(len(guests)))
        for number, guest in enumerate(guests, 1):
            progress.step(f"testing: {number} of {len(guests)}, {guest.title}")
            result = run_selftest(guest, number, scratch / "console.txt")
            progress.result(render_result(result))
            passed &= result.outcome is Outcome.PASS
    return 0 if passed else 1


BOOT = Command(
    name="boot",
    summary="Boot a guest, and run a shell or one command in it.",
    examples="""\
examples:
  anonvma boot                            a shell; leave it with exit or Ctrl-D
  anonvma boot --variant none --base 6.1 -- uname -a
  anonvma boot --target uml --share out -- cp /proc/config.gz out/
  anonvma boot --image image              the whole harness in an ARM64 guest
""",
    add_options=_add_boot,
    request=_boot_request,
    run=boot,
)


KSELFTEST = Command(
    name="kselftest",
    summary="Run the kernel's own test of VMA names; prints KTAP.",
    examples="""\
examples:
  anonvma kselftest --target uml,qemu --base all
  anonvma kselftest --variant none        fails, as a kernel without names should
  anonvma kselftest --kernel ~/linux/arch/arm64/boot/Image
""",
    add_options=_add_kselftest,
    request=_kselftest_request,
    run=kselftest,
)


COMMANDS = (BOOT, KSELFTEST)
