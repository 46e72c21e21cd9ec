"""The command ``anonvma doctor``."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.table import Table

from harness.cli.choices import bases_here
from harness.cli.requests import DoctorRequest
from harness.cli.tables import stdout_console
from harness.doctor import examine
from harness.errors import EnvironmentFault
from harness.mend import Leftover, leftovers
from harness.programs import printable

_DONE, _ENVIRONMENT = 0, 3
# Where campaigns are, unless they were said to be elsewhere.
_PLACES = ("results", "results/*")


def doctor(request: DoctorRequest) -> int:
    """Print what was found; 3 when something that guests need is missing.

    To mend, print what is done instead; 3 when something may not be done. Asked for
    bases, print each on a line.
    """
    if request.mend:
        return _mend()
    if request.bases:
        print(*bases_here(), sep="\n")
        return _DONE
    findings = examine(request.arch)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    for finding in findings:
        sign = "ok" if finding.well else "MISSING" if finding.needed else "note"
        table.add_row(sign, finding.subject, finding.found)
    console = stdout_console()
    console.print(table)
    amiss = [f for f in findings if not f.well]
    for finding in amiss:
        console.print(f"{finding.subject}: {finding.mend}")
    for leftover in _left():
        print(f"left behind: {printable(leftover.found)}{_remedy(leftover)}")
    if any(f.needed for f in amiss):
        console.print("to install all that is missing, as root: make setup")
        return _ENVIRONMENT
    console.print("guests can be built and run here: anonvma run")
    return _DONE


def _remedy(leftover: Leftover) -> str:
    return "" if leftover.mend is None else " (anonvma doctor --mend)"


def _mend() -> int:
    status, said = _DONE, False
    for leftover in _left():
        said = True
        if leftover.mend is None:
            print(printable(leftover.found))
            continue
        try:
            for line in leftover.mend():
                print(printable(line))
        except (EnvironmentFault, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            words = printable(f"{leftover.found}: not mended ({why})")
            print(f"anonvma: {words}", file=sys.stderr)
            status = _ENVIRONMENT
    if not said:
        print("nothing was left behind")
    return status


def _left() -> Iterator[Leftover]:
    places = [
        path for pattern in _PLACES for path in sorted(Path().glob(pattern))
        if path.is_dir() and os.access(path, os.R_OK)
    ]  # fmt: skip
    return leftovers((Path(), *places))
