"""Every command and option, given what cannot be meant: one line, and nothing done."""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import main
from harness.cli.main import parse_arguments
from harness.cli.parser import COMMANDS, EXAMPLES, make_parser
from harness.errors import UsageError
from tests.torture.fuzz_text import DATA, RECORDED

HUGE = str(10**12)
# What no option of a type may take, whichever command has it.
OF_TYPE = {
    "count": ("", "0", "-1", "1.5", "x", HUGE, "9" * 5000, "\0", "\x1b[2J"),
    "count_from_0": ("", "-1", "1.5", "x", "9" * 5000, "\0", "\x1b[2J"),
    "counts": ("0", "-1", "1,0", "x", HUGE, "1,\x1b[2J"),
    "counts_from_0": ("-1", "0,-1", "x", HUGE, "\x1b[2J"),
    "seconds": ("", "0", "-1", "nan", "inf", "1e308", "x", "\0", "\x1b[2J"),
    "percent": ("", "0", "-1", "nan", "inf", "x", "%", "\x1b[2J"),
    "path": ("", "a\0b", "x" * 5000, "x/" * 2100),
}
CHOICE = ("", "no-such-thing", "\0", "\x1b[2J", "../../x")
# What is read has no end, nor one line.
ENDLESS = (("/dev/zero",), ("endless",))
# Words and names are checked by the command: a row for each that has one.
ROWS: dict[tuple[str, str], tuple[tuple[str, ...], ...]] = {
    ("doctor", "--mend"): (("extra",), ("--mend=yes",), ("--bases",)),
    ("doctor", "--bases"): (("extra",), ("--bases=6.1",), ("--arch", "x86_64")),
    ("build", "--variant"): (("nope",), ("\x1b[2J",), ("../../etc/passwd",), ("/x",),
                             ("a\0b",), (",",), ("all,switch",)),
    ("build", "--base"): (("5.0",), ("\x1b[2J",), (",",), ("6.12,all",)),
    ("build", "--mutant"): (("nope",), ("",), ("../x",), ("all", "--variant", "switch"),
                            ("all", "--base", "6.1"), ("all", "--arch", "x86_64")),
    ("boot", "--target"): (("nope",), ("host",), ("uml,qemu",), ("\x1b[2J",)),
    ("boot", "--arch"): (("nope",), ("x86_64,aarch64",), ("x86_64", "--target", "uml")),
    ("boot", "--variant"): (("none", "--kernel", "arm64", "--", "true"),),
    ("boot", "--base"): (("6.12", "--kernel", "arm64", "--", "true"),),
    ("boot", "--accel"): (("tcg", "--target", "uml", "--", "true"),),
    ("boot", "--kernel"): (("missing",), ("file",), (".",),
                           ("arm64", "--target", "uml", "--", "true"),
                           ("arm64", "--arch", "x86_64", "--", "true"),
                           ("arm64", "--target", "uml,qemu", "--", "true")),
    ("boot", "--image"): (("missing", "--", "true"), ("file", "--", "true"),
                          ("endless", "--", "true"),
                          *(("missing", *more, "--", "true") for more in
                            (("--variant", "switch"), ("--base", "6.12"),
                             ("--arch", "aarch64"), ("--target", "qemu"),
                             ("--kernel", "arm64")))),
    ("boot", "--share"): ((".", "--", "true"),
                          ("missing", "--target", "uml", "--", "true")),
    ("boot", "command"): ((),),
    ("run", "--plan"): (("missing",), ("file",), (".",), ("file", "--campaign", "x")),
    ("run", "--campaign"): (("nope",), ("../x",), ("\x1b[2J",), ("a\0b",), ("",)),
    ("run", "--variant"): (("nope",), ("",), ("../../x",), ("switch,switch",),
                           ("a\0b",), ("all,switch",), ("switch", "--target", "host"),
                           ("switch", "--kernel", "arm64"), ("all", "--target", "host"),
                           ("all", "--vmas", "0")),
    ("run", "--base"): (("5.0",), ("",), ("\x1b[2J",), ("6.12,all",), ("6.12,6.12",),
                        ("6.12", "--target", "host"), ("6.12", "--kernel", "arm64"),
                        ("all", "--target", "host"), ("all", "--kernel", "arm64")),
    ("run", "--vmas"): (("",), ("8,8",), ("16777217",)),
    ("run", "--pages"): (("",), ("0,0",)),
    ("run", "--naming"): (("",), ("shared",), ("shared:-1",),
                          ("shared:80",), ("shared:x",), ("nope:8",), ("shared:\x1b",),
                          ("distinct:1", "--vmas", "65536"),
                          ("shared:79,shared:79",), ("shared:" + "9" * 5000,),
                          ("shared:79,shared:079",)),
    ("run", "--target"): (("nope",), ("\x1b[2J",), ("host", "--kernel", "file")),
    ("run", "--arch"): (("nope",), ("aarch64", "--target", "uml")),
    ("run", "--accel"): (("kvm", "--target", "uml"), ("tcg", "--target", "uml,host")),
    ("run", "--kernel"): (("missing",), ("file",), (".",), ("arm64", "--target", "uml"),
                          ("arm64", "--arch", "x86_64"),
                          ("arm64", "--target", "qemu,uml")),
    ("run", "--name"): (("",), ("..",), ("../x",), ("/x",), ("a/b",), ("\x1b[2J",),
                        ("a\0b",), ("x" * 5000,)),
    ("run", "--results"): (("/proc/nope",), ("file",)),
    ("audit", "--variant"): (("nope",), ("none",), ("../x",), ("\x1b[2J",),
                             ("all,refcount",)),
    ("audit", "--base"): (("5.0",), ("",), ("6.12,all",)),
    ("audit", "--naming"): (("",), ("none",), ("shared:80",), ("nope:8",),
                            ("distinct:1", "--vmas", "65536"),
                            ("shared:7,shared:7",), ("shared:7,shared:07",)),
    ("audit", "--name"): (("",), ("..",), ("../x",), ("a/b",), ("a\0b",)),
    ("kselftest", "--variant"): (("nope",), ("",), ("../x",),
                                 ("switch", "--kernel", "arm64"), ("all,none",)),
    ("kselftest", "--base"): (("5.0",), ("",), ("6.12,all",)),
    ("kselftest", "--target"): (("host",), ("nope",)),
    ("kselftest", "--arch"): (("nope",), ("aarch64", "--target", "uml")),
    ("kselftest", "--accel"): (("tcg", "--target", "uml"),),
    ("kselftest", "--kernel"): (("missing",), ("file",), ("arm64", "--target", "uml")),
    ("show", "path"): (("missing",), ("file",), (".",), ("\x1b[2J",),
                       ("missing", "--results", "endless"), *ENDLESS),
    ("show", "--metric"): (("name",), ("split,munmap",), ("all",), ("nosuch",), ("",)),
    ("show", "--results"): (("missing",), ("file",)),
    ("import", "records"): (("missing",), ("file",), (".",), ("\x1b[2J",), *ENDLESS),
    ("import", "--name"): (("../x", "file"), ("", "good"), ("..", "good")),
    ("import", "--results"): (("/proc/nope", "file"),),
    ("image", "--out"): (("/proc/nope",), ("file",)),
    ("image", "--wheels"): (("missing",), ("file",)),
    ("pyz", "--out"): (("/proc/nope/x.pyz",), (".",), ("missing/x.pyz",)),
    ("tune", "--apply"): (("--undo",), ("extra",)),
    ("tune", "--undo"): (("--apply",),),
    ("agree", "--theme"): (("nope",), ("\x1b[2J",), (",",)),
    ("agree", "--variant"): (("switch", "--target", "host"),
                             ("switch", "--kernel", "arm64")),
    ("agree", "--base"): (("6.12", "--target", "host"), ("6.12", "--kernel", "arm64")),
    ("agree", "--accel"): (("tcg",), ("auto", "--target", "host")),
    ("agree", "--jobs"): (("1", "--target", "host"),),
    ("agree", "--target"): (("nope",), ("uml,qemu",)),
    ("agree", "--arch"): (("nope",), ("x86_64", "--target", "uml")),
    ("agree", "--kernel"): (("missing",), ("file",), ("arm64", "--target", "uml"),
                            ("arm64", "--arch", "x86_64")),
    ("agree", "--record"): (("/proc/nope/x",), (".",)),
    ("agree", "--no-shrink"): (("extra",),),
    ("agree", "--results"): (("/proc/nope",), ("file",)),
    ("replay", "trace"): (("missing",), ("file",), (".",), ("\x1b[2J",), *ENDLESS),
    ("replay", "--target"): (("nope", "file"), ("uml,qemu", "file")),
    ("replay", "--arch"): (("nope", "file"),),
    ("replay", "--variant"): (("strdup", "recorded"),
                              ("strdup", "recorded", "--target", "host")),
    ("replay", "--base"): (("6.12", "recorded"),
                           ("6.1", "recorded", "--kernel", "arm64")),
    ("replay", "--accel"): (("auto", "recorded"),
                            ("tcg", "recorded", "--target", "uml")),
    ("replay", "--deadline"): (("1", "recorded"),),
    ("replay", "--kernel"): (("missing", "file"), ("file", "file"),
                             ("arm64", "recorded", "--target", "uml")),
    ("report", "campaign"): (("missing",), ("file",), (".",), ("\x1b[2J",), *ENDLESS),
    ("report", "--out"): (("x.html", "--text", "missing"), ("/proc/nope", "missing"),
                          ("/proc/nope.html", "missing"), ("x", "missing"),
                          ("endless/plan.json", "endless")),
    ("report", "--text"): (("missing",),),
    ("report", "--results"): (("missing", "missing"),),
    ("export", "campaign"): (("missing", "x.parquet"), ("file", "x.parquet"),
                             (".", "x.parquet"), ("/dev/zero", "x.parquet"),
                             ("endless", "x.parquet")),
    ("export", "out"): (("missing", "/proc/nope.parquet"), ("missing", "x"),
                        ("endless", "endless/records.jsonl")),
    ("export", "--results"): (("missing", "missing", "x.parquet"),),
    ("compare", "first"): (("missing",), ("file",), (".",), ("\x1b[2J",), *ENDLESS),
    ("compare", "second"): (("missing", "missing"),),
    ("compare", "--variant"): (("a,b,c", "file"), ("nope", "missing"),
                               (",", "missing")),
    ("compare", "--results"): (("missing", "missing"),),
    ("compare", "--base"): (("a,b,c", "file"), ("nope", "missing"), (",", "missing")),
    ("compare", "--effects"): (("missing",), ("--variant", "none", "missing"),
                               ("missing", "missing"), ("--effects=yes",)),
    ("compare", "--allow-missing"): (("missing",), ("--allow-missing=yes", "file")),
    ("calls", "--pid"): (("99999999",), ("1", "--", "true")),
    ("calls", "--seconds"): (("1", "--", "true"), ("1",)),
    ("calls", "command"): (("",), ("no-such-program",), ("a\0b",)),
    ("guide", "name"): (("nope",), ("../x",), ("\x1b[2J",), ("",)),
    ("mutants", "--name"): (("nope",), ("../x",), ("\x1b[2J",), (",",), ("",)),
}  # fmt: skip


def _options() -> Iterator[tuple[str, str, argparse.Action]]:
    (commands,) = (
        action
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for command, parser in commands.choices.items():
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                yield command, (*action.option_strings, action.dest)[0], action


def _generic(action: argparse.Action) -> tuple[str, ...]:
    if action.choices is not None:
        return CHOICE
    return OF_TYPE.get(getattr(action.type, "__name__", ""), ())


def _lines() -> Iterator[list[str]]:
    for command, option, action in _options():
        if option.startswith("-"):
            yield from ([command, f"{option}={word}"] for word in _generic(action))
            for row in ROWS.get((command, option), ()):
                if action.nargs == 0:
                    yield [command, option, *row]
                else:
                    yield [command, f"{option}={row[0]}", *row[1:]]
        else:
            yield from ([command, *row] for row in ROWS.get((command, option), ()))
    yield from ([], ["nope"], ["\x1b[2J"], ["run", "--\x1b[2J"], ["run", "\x1b[2J"])
    yield from ([command] for command in ("import", "replay", "report", "export"))


def test_every_option_of_every_command_has_rows() -> None:
    options = {(command, option): action for command, option, action in _options()}

    assert not [
        k for k, action in options.items() if not (_generic(action) or k in ROWS)
    ]
    assert not ROWS.keys() - options.keys()


@pytest.fixture
def caged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own, where starting any program is a failure."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a program was started")

    before = signal.getsignal(signal.SIGTERM)
    (tmp_path / "file").write_text("\x1b[2Jno record, no TOML\n")
    (tmp_path / "good").write_text("")
    (tmp_path / "arm64").write_bytes(bytes(0x38) + b"ARM\x64")
    (tmp_path / "recorded").write_bytes((DATA / RECORDED).read_bytes())
    (tmp_path / "endless").mkdir()
    for name in ("plan.json", "records.jsonl", "image.json"):
        (tmp_path / "endless" / name).symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "fork", refuse)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "line", list(_lines()), ids=lambda line: ascii(" ".join(line))[:60]
)
def test_a_line_that_cannot_be_meant_ends_with_one_message(
    line: list[str], caged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(caged.rglob("*"))
    try:
        status: object = main(line)
    except SystemExit as leaving:
        status = leaving.code

    out, err = capsys.readouterr()
    said = [x for x in err.splitlines() if x.startswith("anonvma") and ": " in x]
    assert status in (2, 3), err
    assert len(said) == 1, err
    assert len(said[0]) < 1000
    assert err.startswith("usage: ") or err == said[0] + "\n", err
    assert "Traceback" not in err
    assert not {"\x1b", "\0"} & set(out + err)
    assert sorted(caged.rglob("*")) == before


def test_a_seed_may_be_any_number_of_64_bits() -> None:
    top = str(2**64 - 1)

    assert make_parser().parse_args(["agree", "--seed", top]).seed == 2**64 - 1


@pytest.mark.parametrize("line", [["run", "--vmas=0"], ["show", "\x1b[2J"]])
def test_a_process_of_its_own_ends_the_same_way(line: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", *line], capture_output=True, check=False
    )

    assert done.returncode in (2, 3), done.stderr
    assert b"\x1b" not in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "both"),
    [
        ("replay recorded --variant strdup", ("--variant", "--kernel")),
        ("boot --image x --base 6.12 -- true", ("--base", "--image")),
        ("run --target uml --acc kvm", ("--accel", "--target uml")),
        ("run --target host --base=6.1", ("--base", "--target host")),
        ("run --kernel arm64 --variant none", ("--variant", "--kernel")),
        ("run --kernel arm64 --arch x86_64", ("--arch aarch64", "x86_64")),
        ("run --kernel arm64 --target uml", ("--target qemu", "uml")),
        ("agree --target host --jobs 2", ("--jobs", "--target host")),
        ("doctor --mend --arch x86_64", ("--arch", "--mend")),
    ],
)
def test_an_option_that_would_do_nothing_is_refused_and_why(
    line: str, both: tuple[str, ...], caged: Path
) -> None:
    with pytest.raises(UsageError) as raised:
        parse_arguments(line.split())

    assert all(words in str(raised.value) for words in both)


ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "harness/guides").glob("*.md")))


def _told() -> Iterator[str]:
    """Every command line of README, the guides, --help and the Makefile."""
    documents = [path.read_text() for path in DOCUMENTS]
    for text in (*documents, EXAMPLES, *(c.examples for c in COMMANDS)):
        yield from re.findall(r"^ *anonvma (\S.*?)(?:  .*)?$", text, re.MULTILINE)
    for text in documents:
        # In a sentence or a table.
        yield from re.findall(r"`anonvma ([a-z][^`\n]*)`", text)
    makefile = (ROOT / "Makefile").read_text().replace("$(DAY)", "1")
    makefile = makefile.replace("$$base", "6.12").replace("$(ARGS)", "")
    yield from re.findall(r"\$\(ANONVMA\) (.*?)(?= 2>|[;|)\n])", makefile)


@pytest.mark.parametrize("line", sorted({*_told()}))
def test_a_line_that_we_tell_people_can_be_meant(line: str) -> None:
    refused = ""
    try:
        parse_arguments(shlex.split(line, comments=True))
    except UsageError as error:
        refused = str(error)

    # A plan or a kernel of theirs.
    assert not refused or refused.startswith("cannot read")
