"""Merges fragments of kernel configurations, and checks that Kconfig kept them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import BuildFailed, UsageError

_SET = re.compile(r"(CONFIG_\w+)=(.+)")
_UNSET = re.compile(r"# (CONFIG_\w+) is not set")


def parse_config(text: str, *, where: str) -> dict[str, str]:
    """Options and their values; ``n`` for an option that is not set.

    Raises UsageError for a line that is neither an option nor a comment.
    """
    options: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := _SET.fullmatch(line):
            options[match[1]] = match[2]
        elif match := _UNSET.fullmatch(line):
            options[match[1]] = "n"
        elif line and not line.startswith("#"):
            raise UsageError(
                f"{where}:{number}: not a line of a configuration: {line[:300]!r}"
            )
    return options


def merge_fragments(paths: Sequence[Path]) -> dict[str, str]:
    """All options of some fragments.

    Raises UsageError if a fragment cannot be read or two fragments disagree.
    """
    merged: dict[str, str] = {}
    source: dict[str, Path] = {}
    for path in paths:
        try:
            text = path.read_text()
        except FileNotFoundError:
            raise UsageError(f"there is no configuration fragment {path}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error!s:.200}") from None
        for option, value in parse_config(text, where=str(path)).items():
            if merged.setdefault(option, value) != value:
                raise UsageError(
                    f"{source[option]} has {option}={merged[option]}, but {path} has "
                    f"{option}={value}"
                )
            source.setdefault(option, path)
    return merged


def render_options(options: Mapping[str, str]) -> str:
    """The options in the format that Kconfig reads."""
    return "".join(
        f"# {option} is not set\n" if value == "n" else f"{option}={value}\n"
        for option, value in options.items()
    )


def check_survived(requested: Mapping[str, str], made: Mapping[str, str]) -> None:
    """Check that Kconfig kept every option; absent and ``n`` are the same.

    Raises BuildFailed, which names each option that it did not keep.
    """
    lost = [
        f"{option}={value} (it became {made.get(option, 'n')})"
        for option, value in requested.items()
        if made.get(option, "n") != value
    ]
    if lost:
        raise BuildFailed(
            "Kconfig did not keep some options, probably because a dependency is "
            f"missing or this version has no such option: {', '.join(lost)}"
        )
