"""Arguments: what an option's words become, and options that several commands have."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.arch import QEMU_ARCHES
from harness.errors import UsageError
from harness.kbuild import base_names, variant_names
from harness.targets import Accelerator
from harness.worker.measure.records import Metric

# Nothing of ours is counted in more than that, nor takes longer than four months.
_MOST = 10**9
_MOST_SEED = 2**64 - 1
_MOST_SECONDS = 10**7
# PATH_MAX of linux/limits.h, without the NUL.
_LONGEST_PATH = 4095
_SHOWN = 60
# What find_campaign takes.
CAMPAIGN = "its name in --results, or its folder, records.jsonl or Parquet"
METRICS = [metric.value for metric in Metric]


def words(text: str) -> tuple[str, ...]:
    """Words between commas, at least one."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"expected one or more, not {_shown(text)}")
    return found


def path(text: str) -> Path:
    """A path, there or not."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(
            f"expected a path, not {_shown(text)}: it is empty, or has a NUL"
        )
    if max(len(part.encode(errors="replace")) for part in text.split("/")) > 255:
        raise argparse.ArgumentTypeError(
            f"expected a path, not {_shown(text)}: a name of it is over 255 bytes"
        )
    if len(text.encode(errors="replace")) > _LONGEST_PATH:
        raise argparse.ArgumentTypeError(
            f"expected a path, not {_shown(text)}: it is over {_LONGEST_PATH} bytes"
        )
    return Path(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def _number(text: str, least: int, most: int = _MOST) -> int:
    # Python takes 1_000 too, and so do people.
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        limit = f" (at most {most})" if number > most else ""
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least}, not {_shown(text)}{limit}"
        )
    return number


def count(text: str) -> int:
    """A whole number from 1."""
    return _number(text, 1)


def count_from_0(text: str) -> int:
    """A whole number from 0, such as a seed."""
    return _number(text, 0, _MOST_SEED)


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers from 1, between commas."""
    return tuple(count(word) for word in words(text))


def counts_from_0(text: str) -> tuple[int, ...]:
    """Whole numbers from 0, between commas."""
    return tuple(_number(word, 0) for word in words(text))


def seconds(text: str) -> float:
    """A length of time above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= _MOST_SECONDS:
        limit = f" (at most {_MOST_SECONDS})" if seconds > 0 else ""
        raise argparse.ArgumentTypeError(
            f"expected seconds above 0, not {_shown(text)}{limit}"
        )
    return seconds


def percent(text: str) -> float:
    """A number above 0, with or without a percent sign."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(
            f"expected a percentage above 0, not {_shown(text)}"
        )
    return number


class _Noted(argparse.Action):
    """What argparse does with an option's value; and its long name is written down."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        # Any: what the option's type made, as argparse has it.
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        if self.option_strings:
            namespace.given = (*namespace.given, self.option_strings[-1])


def note_given(parser: argparse.ArgumentParser) -> None:
    """Have what is parsed say, as ``given``, which options with a value there were.

    A default is then told from the same value that was asked for.
    """
    parser.register("action", None, _Noted)
    parser.set_defaults(given=())


def refuse_idle(options: argparse.Namespace, idle: Sequence[str], where: str) -> None:
    """Assert that no option was given that does nothing ``where``; UsageError."""
    for option in options.given:
        if option in idle:
            raise UsageError(f"{option} does nothing {where}: leave it out")


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
