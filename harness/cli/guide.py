"""The command that shows the guides that come with the package: guide."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markdown import Markdown

from harness.cli.command import Command
from harness.cli.output import stdout_console
from harness.errors import UsageError
from harness.host.paths import package_dir


@dataclass(frozen=True, slots=True)
class GuideRequest:
    """What ``anonvma guide`` was asked: a guide by its name, or the list of them."""

    name: str | None


def guides() -> dict[str, Path]:
    """The guides by name, in the order of their names."""
    found = sorted((package_dir() / "guides").glob("*.md"))
    return {path.stem: path for path in found}


def _add_guide(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "name", nargs="?", metavar="NAME",
        help=f"of {', '.join(guides())} (default: list them)",
    )  # fmt: skip


def _guide_request(options: argparse.Namespace, _: Sequence[str]) -> GuideRequest:
    if options.name is not None and options.name not in guides():
        known = ", ".join(guides())
        raise UsageError(f"no guide is called {options.name!r}; guides are {known}")
    return GuideRequest(options.name)


def guide(request: GuideRequest) -> int:
    """Print one guide, or the name and the first sentence of each; 0."""
    console = stdout_console()
    if request.name is not None:
        text = guides()[request.name].read_text(encoding="utf-8")
        if console.is_terminal:
            console.print(Markdown(text, hyperlinks=False))
        else:
            sys.stdout.write(text)
        return 0
    for name, path in guides().items():
        title, _, rest = path.read_text(encoding="utf-8").partition("\n")
        sentence = next((line for line in rest.splitlines() if line.strip()), title)
        console.print(f"{name:<18}{sentence}", markup=False, soft_wrap=True)
    return 0


GUIDE = Command(
    name="guide",
    summary="Show a guide: how to measure, read results, and use every command.",
    examples="""\
examples:
  anonvma guide                           the list
  anonvma guide measuring                 one of them
""",
    add_options=_add_guide,
    request=_guide_request,
    run=guide,
)


COMMANDS = (GUIDE,)
