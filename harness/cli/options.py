"""Options that several commands have."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness.arch import QEMU_ARCHES
from harness.cli.words import path, words
from harness.kbuild import base_names, variant_names
from harness.target import Accelerator


def add_target(
    parser: argparse._ActionsContainer, help_: str, *, single: bool, timed: bool = True
) -> None:
    """Where: --target, --arch, --accel, --kernel; one of each, or lists.

    Where nothing is ``timed``, QEMU need not count instructions.
    """
    auto = "kvm where it works, else icount" if timed else "tcg, as no clock is read"
    parser.add_argument(
        "--target", type=words, metavar="KIND" if single else "KINDS", help=help_
    )
    parser.add_argument(
        "--arch",
        type=words,
        metavar="NAME" if single else "NAMES",
        help=f"of QEMU's guests: {', '.join(QEMU_ARCHES)} (default: aarch64)",
    )
    parser.add_argument(
        "--accel",
        default="auto",
        choices=["auto", *(accelerator.value for accelerator in Accelerator)],
        help="of QEMU: icount counts instructions, kvm takes time, tcg neither; auto "
        f"is {auto} (default: auto)",
    )
    parser.add_argument(
        "--kernel",
        type=path,
        metavar="IMAGE",
        help="a kernel of your own: arm64 Image, x86-64 bzImage or UML's linux",
    )


def add_arch(
    parser: argparse._ActionsContainer, known: list[str] | tuple[str, ...]
) -> None:
    """--arch, one machine of those known."""
    parser.add_argument(
        "--arch",
        default="aarch64",
        choices=known,
        help="the machine (default: aarch64)",
    )


# What find_campaign takes.
CAMPAIGN = "its name in --results, or its folder, records.jsonl or Parquet"


def add_results(parser: argparse._ActionsContainer) -> None:
    """--results."""
    parser.add_argument(
        "--results",
        type=path,
        default=Path("results"),
        metavar="DIR",
        help="the folder of campaigns (default: results)",
    )


def add_kernel(sub: argparse.ArgumentParser, *, variant: str) -> None:
    """--variant and --base, one of each."""
    sub.add_argument(
        "--variant", default=variant, choices=variant_names(),
        help=f"the kernel (default: {variant})",
    )  # fmt: skip
    sub.add_argument(
        "--base", default="6.12", choices=base_names(),
        help="the Linux it is built from (default: 6.12)",
    )  # fmt: skip


def add_kernels(
    parser: argparse._ActionsContainer, *, variant: str, known: Sequence[str] = ()
) -> None:
    """--variant and --base, as lists; ``known`` are the variants, unless all are."""
    parser.add_argument(
        "--variant",
        dest="variants",
        type=words,
        default=(variant,),
        metavar="NAMES",
        help=f"kernels: {', '.join(known or variant_names())}, or all "
        f"(default: {variant})",
    )
    parser.add_argument(
        "--base",
        dest="bases",
        type=words,
        default=("6.12",),
        metavar="VERSIONS",
        help=f"of Linux: {', '.join(base_names())}, or all that have a source here "
        "(default: 6.12)",
    )
