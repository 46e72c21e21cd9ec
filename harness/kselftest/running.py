"""The kernel's own test of names in guests, and what came of each, as KTAP.

The test maps its standard input and expects that to fail: a guest's command has
/dev/null there, which cannot be mapped. What it prints comes from the guest, and
is taken for a pass only where plan, results and exit status agree.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from harness.arch import UM
from harness.errors import GuestError, GuestHung, JobFailed
from harness.host.programs import printable
from harness.kbuild import SELFTEST, BuiltSelftest, base_names, build_selftest
from harness.kselftest.ktap import Directive, Report, Result, Verdict, parse_ktap
from harness.targets.subjects import (
    TargetChoice,
    fitted_choice,
    guest_target,
    variant_target,
)

# What the test prints is a thousand times less.
_MOST_BYTES = 1 << 20
# KSFT_PASS and KSFT_SKIP of tools/testing/selftests/kselftest.h.
_STATUS = {Verdict.PASS: (0,), Verdict.NEITHER: (0, 4)}


class CommandTarget(Protocol):
    """Where a program can be brought and run."""

    def path_in_guest(self, name: str) -> str:
        """Where a file that ``run_command`` brings will be."""

    def run_command(
        self,
        argv: Sequence[str],
        on_output: Callable[[bytes], None],
        console: Path,
        *,
        files: Mapping[str, bytes],
    ) -> int:
        """Run one command; its output goes to ``on_output``. Its exit status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """One guest that the test is run in, and what is to be said of it."""

    title: str
    note: str
    target: CommandTarget
    selftest: BuiltSelftest


def guests_of(
    choices: Sequence[TargetChoice],
    variants: Sequence[str],
    bases: Sequence[str],
    *,
    on_step: Callable[[str], None],
) -> list[Guest]:
    """Every kernel on every target, built, with the test built for it.

    A kernel of the user's own stands for all variants and bases. Raises what
    ``build_kernel``, ``build_selftest`` and ``fitted_choice`` raise.
    """
    return [
        guest
        for choice in choices
        for guest in (
            _built_guests(choice, variants, bases, on_step)
            if choice.kernel is None
            else [_own_guest(choice, choice.kernel, on_step)]
        )
    ]


def run_selftest(guest: Guest, number: int, console: Path) -> Result:
    """Boot a guest with the test in it: a result with the test's own as subtests.

    A guest that panics, hangs or is lost is a result that failed. The guest's
    console is kept in ``console``. Raises EnvironmentFault where it cannot start.
    """
    output = bytearray()

    def keep(chunk: bytes) -> None:
        output.extend(chunk)
        if len(output) > _MOST_BYTES:
            raise JobFailed(f"the test printed more than {_MOST_BYTES} bytes", "")

    target = guest.target
    program = guest.selftest.program.read_bytes()
    try:
        status = target.run_command(
            [target.path_in_guest(SELFTEST)], keep, console, files={SELFTEST: program}
        )
    except GuestError as error:
        result = failed_guest(error, bytes(output[:_MOST_BYTES]))
    else:
        result = judged(bytes(output), status)
    return replace(
        result,
        number=number,
        name=guest.title,
        notes=(f"{guest.title}: {guest.note}", *result.notes),
    )


def judged(output: bytes, status: int) -> Result:
    """What the test's output and its exit status come to.

    A pass needs both: a report without a fault in which something passed and
    nothing failed, and the status that goes with it.
    """
    if not output.strip():
        return _error(f"it printed nothing, and its exit status is {status}")
    report = parse_ktap(output)
    verdict = report.verdict
    if report.faults:
        return _error("; ".join(report.faults), report)
    if verdict is Verdict.FAIL:
        return Result(ok=False, number=1, subtests=report)
    if status not in _STATUS[verdict]:
        return _error(f"nothing in it failed, but its exit status is {status}", report)
    if verdict is Verdict.NEITHER:
        why = report.skipped or "nothing was tested"
        return Result(
            ok=True, number=1, directive=Directive.SKIP, remark=why, subtests=report
        )
    return Result(ok=True, number=1, subtests=report)


def failed_guest(error: GuestError, output: bytes) -> Result:
    """The result of a guest that did not get to its end, with its last words."""
    hung = isinstance(error, GuestHung)
    return Result(
        ok=False,
        number=1,
        directive=Directive.TIMEOUT if hung else Directive.ERROR,
        remark=printable(error.what),
        notes=tuple(f"console: {printable(x)}" for x in error.console.splitlines()),
        subtests=parse_ktap(output) if output.strip() else None,
    )


def _error(why: str, report: Report | None = None) -> Result:
    return Result(
        ok=False, number=1, directive=Directive.ERROR, remark=why, subtests=report
    )


def _built_guests(
    choice: TargetChoice,
    variants: Sequence[str],
    bases: Sequence[str],
    on_step: Callable[[str], None],
) -> Iterator[Guest]:
    for base in bases:
        for variant in variants:
            target, _ = variant_target(choice, variant, base, on_step=on_step)
            selftest = build_selftest(base, choice.machine, on_step=on_step)
            lacks = "" if selftest.base == base else f", as linux {base} has none"
            yield Guest(
                title=f"{_place(choice)} {base} {variant}",
                note=f"the test of linux {selftest.source_version}{lacks}",
                target=target,
                selftest=selftest,
            )


def _own_guest(
    choice: TargetChoice, kernel: Path, on_step: Callable[[str], None]
) -> Guest:
    choice = fitted_choice(choice, kernel)
    target = guest_target(choice, kernel, on_step=on_step)
    selftest = build_selftest(base_names()[-1], choice.machine, on_step=on_step)
    return Guest(
        title=f"{_place(choice)} own",
        note=f"the test of linux {selftest.source_version}",
        target=target,
        selftest=selftest,
    )


def _place(choice: TargetChoice) -> str:
    uml = choice.machine is UM
    return choice.kind if uml else f"{choice.kind} {choice.machine.name}"
