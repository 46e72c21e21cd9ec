"""What comes of a guest's output; the guest is a few lines here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from signal import SIGTERM, getsignal, signal

import pytest

from harness.cli import guests as command
from harness.cli import main
from harness.errors import EnvironmentFault, GuestError, GuestHung, GuestPanicked
from harness.kbuild import SELFTEST, BuiltSelftest
from harness.kselftest import running
from harness.kselftest.ktap import Directive, Outcome, Report, Result, parse_ktap
from harness.kselftest.running import Guest, guests_of, result_of, run_selftest
from harness.targets import UmlTarget
from harness.targets.subjects import TargetChoice

PASSES = b"TAP version 13\n1..1\nok 1 vma.renaming\n"
FAILS = b"TAP version 13\n1..1\nnot ok 1 vma.renaming\n"
SKIPS = b"TAP version 13\n1..0 # SKIP no prctl\n"

SELFTEST_612 = BuiltSelftest(
    program=Path("/nowhere"), base="6.12", source_version="6.12.7-1"
)


class FakeTarget:
    """Prints, and ends with a status or an error; keeps what it was given."""

    def __init__(self, printed: bytes, end: int | Exception = 0) -> None:
        self.printed = printed
        self.end = end
        self.given: tuple[Sequence[str], Mapping[str, bytes]] | None = None

    def path_in_guest(self, name: str) -> str:
        return f"/there/{name}"

    def run_command(
        self,
        argv: Sequence[str],
        on_output: Callable[[bytes], None],
        console: Path,
        *,
        files: Mapping[str, bytes],
    ) -> int:
        self.given = (argv, files)
        on_output(self.printed)
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


@pytest.fixture
def guest(tmp_path: Path) -> Callable[..., Guest]:
    """A function that makes a guest which prints and ends."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")

    def make(printed: bytes, end: int | Exception = 0, title: str = "uml 9") -> Guest:
        return Guest(
            title=title,
            note="the test of linux 9",
            target=FakeTarget(printed, end),
            selftest=BuiltSelftest(program=program, base="9", source_version="9.9"),
        )

    return make


def test_a_pass_is_a_report_that_passes_and_status_0() -> None:
    assert result_of(PASSES, 0) == Result(
        ok=True, number=1, subtests=parse_ktap(PASSES)
    )


def test_a_failure_is_a_failure_whatever_the_status() -> None:
    failed = Result(ok=False, number=1, subtests=parse_ktap(FAILS))

    assert result_of(FAILS, 1) == failed
    assert result_of(FAILS, 0) == failed


@pytest.mark.parametrize("status", [0, 4])
def test_a_test_that_was_skipped_is_no_pass(status: int) -> None:
    result = result_of(SKIPS, status)

    assert (result.directive, result.remark) == (Directive.SKIP, "no prctl")
    assert result.outcome is Outcome.NEITHER


@pytest.mark.parametrize(
    ("output", "status", "remark"),
    [
        (b"", 0, "the test printed nothing, and its exit status is 0"),
        (b" \n", 127, "the test printed nothing, and its exit status is 127"),
        (b"Segmentation fault\n", 139, "no version line; no plan"),
        (PASSES, 1, "nothing failed, but the exit status is 1"),
        (PASSES, 4, "nothing failed, but the exit status is 4"),
        (PASSES, 137, "nothing failed, but the exit status is 137"),
        (SKIPS, 1, "nothing failed, but the exit status is 1"),
        (PASSES.replace(b"..1", b"..2"), 0, "the plan is 1..2, but got 1 results"),
        (PASSES + PASSES, 0, "a second version line; a second plan; the plan does not "
         "follow the version line; a result has number 1, expected 2; the plan is "
         "1..1, but got 2 results"),
    ],
)  # fmt: skip
def test_what_is_not_a_whole_report_is_an_error_with_its_reason(
    output: bytes, status: int, remark: str
) -> None:
    result = result_of(output, status)

    assert (result.ok, result.directive) == (False, Directive.ERROR)
    assert result.remark == remark


def test_the_program_is_brought_and_run(
    guest: Callable[..., Guest], console: Path
) -> None:
    one = guest(PASSES)

    result = run_selftest(one, 3, console)

    assert isinstance(one.target, FakeTarget)
    assert one.target.given == ([f"/there/{SELFTEST}"], {SELFTEST: b"\x7fELF"})
    assert result == Result(
        ok=True,
        number=3,
        name="uml 9",
        notes=("uml 9: the test of linux 9",),
        subtests=parse_ktap(PASSES),
    )


@pytest.mark.parametrize(
    ("error", "directive"),
    [
        (GuestPanicked("it \x1b panicked", "last\nwords\x1b"), Directive.ERROR),
        (GuestHung("it \x1b panicked", "last\nwords\x1b"), Directive.TIMEOUT),
    ],
)
def test_a_guest_that_is_lost_failed_with_its_last_words(
    guest: Callable[..., Guest],
    console: Path,
    error: GuestError,
    directive: Directive,
) -> None:
    result = run_selftest(guest(b"TAP version 13\n1..1\n", error), 1, console)

    assert (result.ok, result.directive) == (False, directive)
    assert result.remark == "it \\x1b panicked"
    assert result.notes[1:] == ("console: last", "console: words\\x1b")
    assert result.subtests == Report(
        plan=1, faults=("the plan is 1..1, but got 0 results",)
    )


@pytest.mark.long
def test_a_guest_that_prints_without_end_is_stopped(
    guest: Callable[..., Guest], console: Path
) -> None:
    result = run_selftest(guest(PASSES + b"# x\n" * (1 << 19)), 1, console)

    assert (result.ok, result.directive) == (False, Directive.ERROR)
    assert result.remark == "the test printed more than 1048576 bytes"


def test_every_kernel_is_on_every_target_with_the_test_that_it_gets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = UmlTarget(kernel=Path("/none"))
    machines = []

    def build(base: str, machine: object, **_: object) -> BuiltSelftest:
        machines.append(machine)
        return SELFTEST_612

    monkeypatch.setattr(running, "variant_target", lambda *a, **k: (target, ""))
    monkeypatch.setattr(running, "build_selftest", build)
    choices = [TargetChoice(kind="uml"), TargetChoice(kind="qemu", arch="x86_64")]

    guests = guests_of(choices, ["none"], ["6.1", "6.12"], on_step=print)

    assert [(guest.title, guest.note) for guest in guests] == [
        ("uml 6.1 none", "the test of linux 6.12.7-1, as linux 6.1 has none"),
        ("uml 6.12 none", "the test of linux 6.12.7-1"),
        ("qemu x86_64 6.1 none", "the test of linux 6.12.7-1, as linux 6.1 has none"),
        ("qemu x86_64 6.12 none", "the test of linux 6.12.7-1"),
    ]
    assert machines == [c.machine for c in choices for _ in range(2)]


@pytest.fixture
def _signals_as_before() -> Iterator[None]:
    before = getsignal(SIGTERM)
    yield
    signal(SIGTERM, before)


@pytest.mark.usefixtures("_signals_as_before")
@pytest.mark.parametrize(
    ("printed", "status"),
    [([PASSES, PASSES], 0), ([PASSES, FAILS], 1), ([SKIPS, PASSES], 1), ([b""], 1)],
)
def test_the_command_prints_one_report_and_is_0_only_where_all_passed(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    guest: Callable[..., Guest],
    printed: list[bytes],
    status: int,
) -> None:
    ends = {FAILS: 1, b"": 127}
    guests = [guest(one, ends.get(one, 0)) for one in printed]
    monkeypatch.setattr(command, "guests_of", lambda *a, **k: guests)

    assert main(["kselftest"]) == status

    out, err = capsys.readouterr()
    report = parse_ktap(out.encode())
    assert report.faults == ()
    assert [result.subtests is not None for result in report.results] == [
        one != b"" for one in printed
    ]
    assert (report.outcome is Outcome.PASS) == (status == 0 or SKIPS in printed)
    assert err.startswith(f"0:00 testing: 1 of {len(printed)}, uml 9\n")


@pytest.mark.usefixtures("_signals_as_before")
def test_a_guest_that_cannot_start_ends_the_command_as_everywhere(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    guest: Callable[..., Guest],
) -> None:
    guests = [guest(PASSES), guest(b"", EnvironmentFault("no qemu"))]
    monkeypatch.setattr(command, "guests_of", lambda *a, **k: guests)

    assert main(["kselftest"]) == 3

    out, err = capsys.readouterr()
    # Whoever reads the report alone sees that it is not whole.
    assert parse_ktap(out.encode()).outcome is Outcome.FAIL
    assert err.endswith("anonvma: no qemu\n")
