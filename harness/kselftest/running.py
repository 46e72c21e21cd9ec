"""Runs the kernel's own selftest of names in guests; the results are KTAP.

The test maps its standard input and expects that this fails. In our guests, the
standard input of a command is /dev/null, which cannot be mapped. The output comes from
a guest and is not trusted: a pass needs a plan, results and an exit status that agree.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from harness.arch import UM
from harness.errors import GuestError, GuestHung, JobFailed
from harness.host.programs import printable
from harness.kbuild import SELFTEST, BuiltSelftest, base_names, build_selftest
from harness.kselftest.ktap import Directive, Outcome, Report, Result, parse_ktap
from harness.targets.subjects import (
    TargetChoice,
    fitted_choice,
    guest_target,
    variant_target,
)

# A thousand times what the test prints.
_MOST_BYTES = 1 << 20
# KSFT_PASS and KSFT_SKIP of tools/testing/selftests/kselftest.h.
_STATUS = {Outcome.PASS: (0,), Outcome.NEITHER: (0, 4)}


class CommandTarget(Protocol):
    """A target that can run a program of ours."""

    def path_in_guest(self, name: str) -> str:
        """The path in the guest of a file that is given to ``run_command``."""

    def run_command(
        self,
        argv: Sequence[str],
        on_output: Callable[[bytes], None],
        console: Path,
        *,
        files: Mapping[str, bytes],
    ) -> int:
        """Run one command and return its exit status; ``on_output`` gets its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A guest for the test; ``title`` and ``note`` are printed with its result."""

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
    """Build each kernel for each target, and the test for it.

    If a choice has the user's kernel, it is used instead of all variants and bases.
    Raises what ``build_kernel``, ``build_selftest`` and ``fitted_choice`` raise.
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
    """Boot a guest and run the test in it; the test's own results are the subtests.

    A guest that panics, hangs or is lost is a failed result. The guest's console is
    written to ``console``. Raises EnvironmentFault if the guest cannot start.
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
        result = result_of(bytes(output), status)
    return replace(
        result,
        number=number,
        name=guest.title,
        notes=(f"{guest.title}: {guest.note}", *result.notes),
    )


def result_of(output: bytes, status: int) -> Result:
    """The result of the test, from its output and its exit status.

    A pass needs a report without faults and failures in which something passed, and
    the matching exit status.
    """
    if not output.strip():
        return _error(f"the test printed nothing, and its exit status is {status}")
    report = parse_ktap(output)
    outcome = report.outcome
    if report.faults:
        return _error("; ".join(report.faults), report)
    if outcome is Outcome.FAIL:
        return Result(ok=False, number=1, subtests=report)
    if status not in _STATUS[outcome]:
        return _error(f"nothing failed, but the exit status is {status}", report)
    if outcome is Outcome.NEITHER:
        why = report.skipped or "nothing was tested"
        return Result(
            ok=True, number=1, directive=Directive.SKIP, remark=why, subtests=report
        )
    return Result(ok=True, number=1, subtests=report)


def failed_guest(error: GuestError, output: bytes) -> Result:
    """The result of a guest that failed, with the end of its console."""
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
            why = "" if selftest.base == base else f", as linux {base} has none"
            yield Guest(
                title=f"{_machine_title(choice)} {base} {variant}",
                note=f"the test of linux {selftest.source_version}{why}",
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
        title=f"{_machine_title(choice)} own",
        note=f"the test of linux {selftest.source_version}",
        target=target,
        selftest=selftest,
    )


def _machine_title(choice: TargetChoice) -> str:
    uml = choice.machine is UM
    return choice.kind if uml else f"{choice.kind} {choice.machine.name}"
