import io
from functools import partial
from types import SimpleNamespace

import pytest
from rich.console import Console

from harness.cli import progress
from harness.cli.progress import Progress


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The only clock that progress sees; a test sets it by ``now``."""
    fake = SimpleNamespace(now=1000.0)
    fake.monotonic = lambda: fake.now
    monkeypatch.setattr(progress, "time", fake)
    return fake


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in place of standard error."""
    for variable in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    fake = Terminal()
    monkeypatch.setattr(progress, "Console", partial(Console, file=fake))
    return fake


def test_steps_are_plain_lines_with_the_time_so_far(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress() as shown:
        shown.step("unpacking linux 6.12")
        clock.now += 83.9
        shown.step("making the guest's root")
        clock.now += 3600
        shown.line("done")

    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "0:00 unpacking linux 6.12\n1:23 making the guest's root\n61:23 done\n"
    )


def test_steps_of_one_kind_are_told_every_fifteen_seconds(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress() as shown:
        for second in range(40):
            clock.now = 1000 + second
            shown.step(f"compiling: {second} files")

    assert capsys.readouterr().err.splitlines() == [
        "0:00 compiling: 0 files",
        "0:15 compiling: 15 files",
        "0:30 compiling: 30 files",
    ]


def test_a_step_of_another_kind_is_told_at_once(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress() as shown:
        shown.step("compiling: 1")
        shown.step("compiling: 2")
        shown.step("linking: 1")
        shown.step("compiling: 3")

    assert capsys.readouterr().err.splitlines() == [
        "0:00 compiling: 1",
        "0:00 linking: 1",
        "0:00 compiling: 3",
    ]


def test_cells_are_steps_of_one_kind(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress() as shown:
        shown.cell(1, 9, "boot 0: a")
        shown.cell(2, 9, "boot 1: b")

    assert capsys.readouterr().err == "0:00 measuring: 1 of 9 cells, boot 0: a\n"


def test_lines_are_always_told(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress() as shown:
        shown.line("a: 1")
        shown.line("a: 2")

    assert capsys.readouterr().err == "0:00 a: 1\n0:00 a: 2\n"


def test_markup_is_text_and_long_lines_are_whole(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    what = "[red]x[/red] [/bad] :smile: " + "long " * 60

    with Progress() as shown:
        shown.step(what)

    assert capsys.readouterr().err == f"0:00 {what}\n"


def test_on_a_terminal_one_line_is_kept_up_to_date(
    clock: SimpleNamespace, terminal: Terminal
) -> None:
    with Progress() as shown:
        shown.step("compiling: 1")
        clock.now += 61
        shown.step("compiling: [red]2[/red] [/bad] :smile:")

    text = terminal.getvalue()
    assert "compiling: [red]2[/red] [/bad] :smile:" in text
    assert "(1:01)" in text
    # The line is wiped, and the cursor shown again.
    assert text.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def test_on_a_terminal_lines_stay_above_the_live_one(
    clock: SimpleNamespace, terminal: Terminal
) -> None:
    with Progress() as shown:
        shown.line("kept [red]at[/red] /a/path")

    assert "0:00 kept [red]at[/red] /a/path\n" in terminal.getvalue()


def test_a_result_goes_to_standard_output_though_a_line_is_live(
    clock: SimpleNamespace, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which rich would send to the terminal, whatever standard output is."""
    with Progress() as shown:
        shown.step("before")
        shown.result("a result\n")
        shown.step("after")
        shown.result("another\n")

    assert capsys.readouterr().out == "a result\nanother\n"
    text = terminal.getvalue()
    assert "result" not in text
    assert text.index("before") < text.index("after")
    assert text.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def test_a_result_is_no_plain_line(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress() as shown:
        shown.result("a result\n")

    assert capsys.readouterr() == ("a result\n", "")
