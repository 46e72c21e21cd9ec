"""The command ``anonvma kselftest``."""

from harness.cli.progress import Progress
from harness.cli.requests import KselftestRequest
from harness.kselftest import guests_of, run_selftest
from harness.ktap import Verdict, render_opening, render_result
from harness.scratch import scratch_folder


def kselftest(request: KselftestRequest) -> int:
    """Print one KTAP report, a result for each guest; 1 unless all of them pass."""
    passed = True
    with Progress() as progress, scratch_folder() as scratch:
        guests = guests_of(
            request.choices, request.variants, request.bases, on_step=progress.step
        )
        progress.result(render_opening(len(guests)))
        for number, guest in enumerate(guests, 1):
            progress.step(f"testing: {number} of {len(guests)}, {guest.title}")
            result = run_selftest(guest, number, scratch / "console.txt")
            progress.result(render_result(result))
            passed &= result.verdict is Verdict.PASS
    return 0 if passed else 1
