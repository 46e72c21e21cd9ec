"""The defaults in --help are what happens without the option."""

import argparse
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.campaign import Plan
from harness.cli import guests, main
from harness.cli.main import parse_arguments
from harness.cli.parser import commands_of, make_parser
from harness.targets import Accelerator
from harness.targets.subjects import HOST
from harness.workload.gen import Theme

_SAID = re.compile(r"\(?default: ([^();]+)")


# Any: a request of any command, of which the one field is read that is asked for.
def asked(line: str) -> Any:
    """The request of a command line."""
    return parse_arguments(line.split())


def _options() -> Iterator[tuple[str, str, argparse.Action]]:
    for command, parser in commands_of(make_parser()):
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                yield command, (*action.option_strings, action.dest)[0], action


def _said(command: str, action: argparse.Action) -> str | None:
    """The default of an option, as its help has it."""
    (parser,) = (p for name, p in commands_of(make_parser()) if name == command)
    shown = parser._get_formatter()._expand_help(action) if action.help else ""
    found = _SAID.search(" ".join(shown.split()))
    return None if found is None else found[1]


def _words(value: object) -> str:
    match value:
        case tuple():
            return ",".join(map(_words, value))
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _real(action: argparse.Action) -> object:
    """What an option is where it is not given: of a plan, what plans have."""
    of_a_plan = action.default is None and action.dest in Plan.__dataclass_fields__
    return getattr(Plan(), action.dest) if of_a_plan else action.default


# What is decided after parsing, by what is asked for: what is said, and what happens.
DECIDED: dict[tuple[str, str], tuple[str, Callable[[], object]]] = {
    ("boot", "--target"): ("qemu", lambda: asked("boot").choice.kind),
    ("boot", "--arch"): ("aarch64", lambda: asked("boot").choice.arch),
    ("kselftest", "--target"): ("qemu", lambda: asked("kselftest").choices[0].kind),
    ("kselftest", "--arch"): ("aarch64", lambda: asked("kselftest").choices[0].arch),
    ("run", "--target"): ("qemu", lambda: asked("run").choices[0].kind),
    ("run", "--arch"): ("aarch64", lambda: asked("run").choices[0].arch),
    ("agree", "--target"): ("uml", lambda: asked("agree").choice.kind),
    ("agree", "--arch"): (
        "aarch64", lambda: asked("agree --target qemu").choice.arch
    ),
    ("agree", "--ops"): ("20000", lambda: str(asked("agree").plan.operations)),
    ("replay", "--arch"): (
        "aarch64", lambda: asked("replay x --target qemu").choice.arch
    ),
    ("replay", "--target"): (
        "none, check the recorded results", lambda: asked("replay x").choice or
        "none, check the recorded results"
    ),
}  # fmt: skip
# What is no value: in words, and said to be so by the tests of its command.
IN_WORDS = {
    ("show", "path"): "the newest",
    ("import", "--name"): "a new one",
    ("run", "--name"): "a new one",
    ("audit", "--name"): "a new one",
    ("report", "--out"): "CAMPAIGN.html",
    ("compare", "--margin"): "the plan's, else 2%",
    ("agree", "--seconds"): "as long as --ops takes",
    ("agree", "--theme"): "all in turn",
    ("agree", "--jobs"): "one per CPU",
    ("calls", "--seconds"): "until Ctrl-C",
    ("guide", "name"): "list them",
    ("mutants", "--jobs"): "one per CPU",
    ("run", "--jobs"): "one per CPU",
    ("boot", "--memory"): "1024, with --image 3072",
}
# Those without any: lists that are empty, and actions.
WITHOUT = {
    ("boot", "--share"), ("boot", "command"), ("calls", "command"),
    ("compare", "--variant"),
    ("compare", "--base"),
    ("tune", "--apply"), ("tune", "--undo"),
}  # fmt: skip


def test_every_default_that_is_told_is_the_real_one() -> None:
    wrong = []
    for command, option, action in _options():
        key, said, real = (command, option), _said(command, action), _real(action)
        if key in DECIDED:
            words, happens = DECIDED[key]
            if not said == words == happens():
                wrong.append((*key, said, happens()))
        elif key in IN_WORDS:
            if said != IN_WORDS[key]:
                wrong.append((*key, said, IN_WORDS[key]))
        elif said is not None and said != _words(real):
            wrong.append((*key, said, real))

    assert wrong == []


def test_every_default_there_is_is_told() -> None:
    silent = [
        (command, option)
        for command, option, action in _options()
        if _real(action) not in (None, argparse.SUPPRESS)
        and action.nargs != 0
        and (command, option) not in WITHOUT
        and _said(command, action) is None
    ]

    assert silent == []
    assert {*WITHOUT, *DECIDED, *IN_WORDS} <= {
        (command, option) for command, option, _ in _options()
    }


class Booted:
    """A guest that is given memory, and a command."""

    def __init__(self) -> None:
        self.mib = 0

    def run_command(self, *_: object, mib: int) -> int:
        """What a target does with it."""
        self.mib = mib
        return 0


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Booted]:
    before = signal.getsignal(signal.SIGTERM)
    guest = Booted()
    monkeypatch.setattr(guests, "_boot_target", lambda *_: guest)
    yield guest
    signal.signal(signal.SIGTERM, before)


def test_a_guest_has_the_memory_that_help_says(booted: Booted, tmp_path: Path) -> None:
    (help_,) = (
        _said(command, action)
        for command, option, action in _options()
        if (command, option) == ("boot", "--memory")
    )
    said = {}
    for line in ("boot", f"boot --image {tmp_path}"):
        assert main([*line.split(), "--", "true"]) == 0
        said[line.split()[-1] == "boot"] = booted.mib

    assert help_ == f"{said[True]}, with --image {said[False]}"
    assert main(["boot", "--memory", "77", "--image", "x", "--", "true"]) == 0
    assert booted.mib == 77


def test_auto_is_the_accelerator_that_help_says() -> None:
    for command, option, action in _options():
        if option == "--accel":
            unclocked = command in ("agree", "replay")
            shown = "tcg, because no clock" if unclocked else "kvm where it works, else"
            assert f"auto means {shown}" in str(action.help)
    for line in ("agree --target qemu", "replay x --target qemu"):
        assert asked(line).choice.accelerator is Accelerator.TCG
    # The best that works, once it is known.
    assert asked("boot").choice.accelerator is None


def test_guests_at_a_time_are_one_per_cpu_and_themes_all() -> None:
    cpus = len(os.sched_getaffinity(0))

    assert asked("run").parallel == cpus
    assert asked("agree").plan.guests == cpus
    assert asked("mutants").plan.guests == cpus
    assert asked("agree").plan.themes == tuple(Theme)
    assert HOST in {asked("agree --target host").choice.kind}
