"""Commands about this machine: doctor, tune."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from harness.arch import QEMU_ARCHES, Arch, arch_named
from harness.cli.arguments import add_arch, refuse_idle
from harness.cli.choices import bases_here
from harness.cli.command import Command
from harness.cli.output import stdout_console
from harness.errors import EnvironmentFault
from harness.host.programs import printable
from harness.machine import tune as machine
from harness.machine.doctor import examine
from harness.machine.leftovers import Leftover, find_leftovers

_DONE, _ENVIRONMENT = 0, 3
# Folders to search for leftovers: the default --results, and its campaigns.
_PLACES = ("results", "results/*")


@dataclass(frozen=True, slots=True)
class DoctorRequest:
    """The arguments of ``anonvma doctor``.

    ``mend`` asks to clean up what a killed harness left, ``bases`` to list the bases
    that can be built here.
    """

    arch: Arch
    mend: bool = False
    bases: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """The arguments of ``anonvma tune``: ``action`` is show, apply or undo."""

    action: str


def _add_doctor(sub: argparse.ArgumentParser) -> None:
    add_arch(sub, QEMU_ARCHES)
    instead = sub.add_mutually_exclusive_group()
    instead.add_argument(
        "--mend", action="store_true",
        help="instead, restore settings and remove files that a killed harness left",
    )  # fmt: skip
    instead.add_argument(
        "--bases", action="store_true",
        help="instead, list the Linux versions whose source this Debian has",
    )  # fmt: skip


def _doctor_request(options: argparse.Namespace, _: Sequence[str]) -> DoctorRequest:
    for instead in ("mend", "bases"):
        if getattr(options, instead):
            refuse_idle(options, ("--arch",), f"with --{instead}")
    arch = arch_named(options.arch)
    return DoctorRequest(arch, mend=options.mend, bases=options.bases)


def doctor(request: DoctorRequest) -> int:
    """Print what this machine has and lacks. Returns 3 if guests need what it lacks.

    With ``mend``, clean up instead and print each step; returns 3 if a step failed.
    With ``bases``, print one base per line instead.
    """
    if request.mend:
        return _mend()
    if request.bases:
        print(*bases_here(), sep="\n")
        return _DONE
    findings = examine(request.arch)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    for finding in findings:
        sign = "ok" if finding.ok else "MISSING" if finding.needed else "note"
        table.add_row(sign, finding.subject, finding.found)
    console = stdout_console()
    console.print(table)
    failed = [f for f in findings if not f.ok]
    for finding in failed:
        console.print(f"{finding.subject}: {finding.mend}")
    for leftover in _left():
        print(f"left behind: {printable(leftover.found)}{_remedy(leftover)}")
    if any(f.needed for f in failed):
        console.print("to install what is missing, run as root: make setup")
        return _ENVIRONMENT
    console.print("guests can be built and run here; to measure: anonvma run")
    return _DONE


def _remedy(leftover: Leftover) -> str:
    return "" if leftover.mend is None else " (anonvma doctor --mend)"


def _mend() -> int:
    status, nothing_left = _DONE, True
    for leftover in _left():
        nothing_left = False
        if leftover.mend is None:
            print(printable(leftover.found))
            continue
        try:
            for line in leftover.mend():
                print(printable(line))
        except (EnvironmentFault, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            words = printable(f"{leftover.found}: cannot clean up ({why})")
            print(f"anonvma: {words}", file=sys.stderr)
            status = _ENVIRONMENT
    if nothing_left:
        print("nothing was left behind")
    return status


def _left() -> Iterator[Leftover]:
    places = [
        path for pattern in _PLACES for path in sorted(Path().glob(pattern))
        if path.is_dir() and os.access(path, os.R_OK)
    ]  # fmt: skip
    return find_leftovers((Path(), *places))


def _add_tune(sub: argparse.ArgumentParser) -> None:
    action = sub.add_mutually_exclusive_group()
    action.add_argument(
        "--apply", action="store_const", dest="action", const="apply",
        help="change the settings that disturb, and print each change",
    )  # fmt: skip
    action.add_argument(
        "--undo", action="store_const", dest="action", const="undo",
        help="restore what --apply changed",
    )  # fmt: skip
    sub.set_defaults(action="show")


def _tune_request(options: argparse.Namespace, _: Sequence[str]) -> TuneRequest:
    return TuneRequest(action=options.action)


def tune(request: TuneRequest) -> int:
    """Show the settings that disturb, change them, or restore them. Returns 0."""
    console = stdout_console()
    if request.action == "undo":
        count = 0
        for path, value in machine.undo():
            count += 1
            console.print(f"{path}: restored to {value}", markup=False)
        console.print(
            "every setting is restored" if count else "there is nothing to restore"
        )
        return 0
    if request.action == "apply":
        changed = []
        for setting in machine.apply():
            changed.append(setting)
            console.print(
                f"{setting.path}: {setting.value} becomes {setting.knob.wanted}",
                markup=False,
            )
        if changed:
            console.print("to restore them: anonvma tune --undo")
        else:
            console.print("no setting needs a change")
        return 0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    disturbing = False
    for setting in machine.settings_here():
        disturbing |= setting.disturbs
        advice = f"{setting.knob.wanted} is better: {setting.knob.why}"
        table.add_row(
            "disturbs" if setting.disturbs else "ok",
            setting.knob.subject,
            str(setting.path),
            setting.value,
            advice if setting.disturbs else "",
        )
    for subject, found in machine.remarks():
        table.add_row("note", subject, "", found, "")
    console.print(table)
    if disturbing:
        console.print(
            "to change them, run as root: anonvma tune --apply (--undo restores them)"
        )
    return 0


DOCTOR = Command(
    name="doctor",
    summary="Show what this machine can run and what is missing.",
    examples="""\
examples:
  anonvma doctor                          what is missing, and how to install it
  anonvma doctor --mend                   clean up after kill -9
  anonvma doctor --bases                  the Linux versions that can be built here
""",
    add_options=_add_doctor,
    request=_doctor_request,
    run=doctor,
)


TUNE = Command(
    name="tune",
    summary="Show or change settings that disturb measurements here.",
    examples="""\
examples:
  anonvma tune                            show the settings that disturb
  anonvma tune --apply                    change them, as root
  anonvma tune --undo                     restore them, also after a crash
""",
    add_options=_add_tune,
    request=_tune_request,
    run=tune,
)


COMMANDS = (DOCTOR, TUNE)
