"""The process of a command: whenever a signal comes, one line and status 130."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# What a command does instead of its work, and says when it is at it.
STANDING_STILL = """
import signal, sys, time
import harness.cli.results as results
def stand(request):
    try:
        sys.stdout.write("at it\\n")
        sys.stdout.flush()
        time.sleep(1000)
    finally:
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        sys.stdout.write("put back\\n")
results.newest_campaign = stand
sys.argv = ["anonvma", "show"]
from harness.__main__ import main
sys.exit(main())
"""
# The same while modules are imported: this one is imported by one of ours.
IMPORTING = """
import sys, time
from harness.__main__ import main
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "harness.cli.main":
            print("at it", flush=True)
            time.sleep(1000)
sys.meta_path.insert(0, Slow())
sys.exit(main())
"""


def ended(program: str, number: signal.Signals, *, ignored: bool = False) -> object:
    """Status, output and words of a program that got a signal when it was at it."""
    action = "SIG_IGN" if ignored else "SIG_DFL"
    prelude = f"import signal; signal.signal({number}, signal.{action})\n"
    if number == signal.SIGINT and not ignored:
        prelude = "import signal; signal.signal(2, signal.default_int_handler)\n"
    with subprocess.Popen(
        [sys.executable, "-c", prelude + program],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "at it\n"
        process.send_signal(number)
        if ignored:
            process.terminate()
        out, words = process.communicate()
    return process.returncode, out, words


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_work_once_and_what_is_put_back_is(
    number: signal.Signals,
) -> None:
    assert ended(STANDING_STILL, number) == (130, "put back\n", "anonvma: stopped\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_modules_are_imported_is_one_line(
    number: signal.Signals,
) -> None:
    assert ended(IMPORTING, number) == (130, "", "anonvma: stopped\n")


@pytest.mark.slow
def test_what_was_ignored_stays_ignored() -> None:
    """As nohup does it; what ends it here is the one after."""
    status = ended(STANDING_STILL, signal.SIGHUP, ignored=True)

    assert status == (130, "put back\n", "anonvma: stopped\n")


@pytest.mark.long
def test_any_instant_of_a_start_ends_it_without_a_traceback(tmp_path: Path) -> None:
    """Until the first line of ours has run, the interpreter says what it likes."""
    delays = [0.02 * step for step in range(20)]
    for delay in delays:
        with subprocess.Popen(
            [sys.executable, "-m", "harness", "show", "--results", str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            _, words = process.communicate()
        assert process.returncode in (-signal.SIGTERM, 130, 2)
        assert "Traceback" not in words

    assert list(tmp_path.iterdir()) == []
