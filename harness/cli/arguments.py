"""Types of option values, and the options that several commands share."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.arch import QEMU_ARCHES
from harness.errors import UsageError
from harness.kbuild import base_names, variant_names
from harness.targets import Accelerator
from harness.worker.measure.records import Metric

# Limits of counts and of durations (four months): larger values are mistakes.
_MOST = 10**9
_MOST_SEED = 2**64 - 1
_MOST_SECONDS = 10**7
# PATH_MAX of linux/limits.h, without the NUL.
_LONGEST_PATH = 4095
_SHOWN = 60
# The help of every argument that find_campaign resolves.
CAMPAIGN = (
    "a campaign: its name in --results, or the path of its folder, records.jsonl or "
    "Parquet file"
)
METRICS = [metric.value for metric in Metric]


def words(text: str) -> tuple[str, ...]:
    """Words separated by commas, at least one."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise argparse.ArgumentTypeError(
            f"expected one or more words, not {_shown(text)}"
        )
    return found


def path(text: str) -> Path:
    """A path, which need not exist."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(
            f"expected a path, not {_shown(text)}: it is empty or contains a NUL"
        )
    if max(len(part.encode(errors="replace")) for part in text.split("/")) > 255:
        raise argparse.ArgumentTypeError(
            f"expected a path, not {_shown(text)}: a name in it has over 255 bytes"
        )
    if len(text.encode(errors="replace")) > _LONGEST_PATH:
        raise argparse.ArgumentTypeError(
            f"expected a path, not {_shown(text)}: it has over {_LONGEST_PATH} bytes"
        )
    return Path(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def _number(text: str, least: int, most: int = _MOST) -> int:
    # int() also accepts 1_000, which is convenient.
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
    """Whole numbers from 1, separated by commas."""
    return tuple(count(word) for word in words(text))


def counts_from_0(text: str) -> tuple[int, ...]:
    """Whole numbers from 0, separated by commas."""
    return tuple(_number(word, 0) for word in words(text))


def seconds(text: str) -> float:
    """A number of seconds above 0."""
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
    """Stores the value, as argparse does, and notes the option's long name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        # Any: argparse passes whatever the option's type returned.
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        if self.option_strings:
            namespace.given = (*namespace.given, self.option_strings[-1])


def note_given(parser: argparse.ArgumentParser) -> None:
    """Make the namespace list, as ``given``, the options that the user gave a value.

    This distinguishes a default from the same value given by the user.
    """
    parser.register("action", None, _Noted)
    parser.set_defaults(given=())


def refuse_idle(options: argparse.Namespace, idle: Sequence[str], where: str) -> None:
    """Raise UsageError if an option was given that has no effect ``where``."""
    for option in options.given:
        if option in idle:
            raise UsageError(f"{option} has no effect {where}: leave it out")


def add_target(
    parser: argparse._ActionsContainer, help_: str, *, single: bool, timed: bool = True
) -> None:
    """Add --target, --arch, --accel and --kernel.

    --target and --arch take one value if ``single``, else a list. Unless the command
    is ``timed``, QEMU need not count instructions.
    """
    auto = (
        "kvm where it works, else icount" if timed else "tcg, because no clock is read"
    )
    parser.add_argument(
        "--target", type=words, metavar="KIND" if single else "KINDS", help=help_
    )
    parser.add_argument(
        "--arch",
        type=words,
        metavar="NAME" if single else "NAMES",
        help=f"machine of QEMU guests: {', '.join(QEMU_ARCHES)} (default: aarch64)",
    )
    parser.add_argument(
        "--accel",
        default="auto",
        choices=["auto", *(accelerator.value for accelerator in Accelerator)],
        help="QEMU's accelerator: icount counts instructions, kvm measures time, tcg "
        f"does neither; auto means {auto} (default: auto)",
    )
    parser.add_argument(
        "--kernel",
        type=path,
        metavar="IMAGE",
        help="use your own kernel: arm64 Image, x86-64 bzImage or UML's linux",
    )


def add_arch(
    parser: argparse._ActionsContainer, known: list[str] | tuple[str, ...]
) -> None:
    """Add --arch, one of the machines in ``known``."""
    parser.add_argument(
        "--arch",
        default="aarch64",
        choices=known,
        help="machine of the kernel (default: aarch64)",
    )


def add_results(parser: argparse._ActionsContainer) -> None:
    """Add --results."""
    parser.add_argument(
        "--results",
        type=path,
        default=Path("results"),
        metavar="DIR",
        help="folder that holds the campaigns (default: results)",
    )


def add_kernel(sub: argparse.ArgumentParser, *, variant: str) -> None:
    """Add --variant and --base, which take one value each."""
    sub.add_argument(
        "--variant", default=variant, choices=variant_names(),
        help=f"kernel variant (default: {variant})",
    )  # fmt: skip
    sub.add_argument(
        "--base", default="6.12", choices=base_names(),
        help="Linux version that it is built from (default: 6.12)",
    )  # fmt: skip


def add_kernels(
    parser: argparse._ActionsContainer, *, variant: str, known: Sequence[str] = ()
) -> None:
    """Add --variant and --base, which take lists; ``known`` limits the variants."""
    parser.add_argument(
        "--variant",
        dest="variants",
        type=words,
        default=(variant,),
        metavar="NAMES",
        help=f"kernel variants: {', '.join(known or variant_names())}, or all "
        f"(default: {variant})",
    )
    parser.add_argument(
        "--base",
        dest="bases",
        type=words,
        default=("6.12",),
        metavar="VERSIONS",
        help=f"Linux versions: {', '.join(base_names())}, or all, which means those "
        "whose source is available here (default: 6.12)",
    )
