import importlib.metadata
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.arch import UM, arch_named
from harness.campaign import Plan
from harness.cli import choices, main, results
from harness.cli.audit import AuditRequest, keeping_names
from harness.cli.guests import BootRequest, KselftestRequest
from harness.cli.kernels import BuildRequest, ImageRequest
from harness.cli.machine import DoctorRequest, TuneRequest
from harness.cli.main import parse_arguments
from harness.cli.measure import ImportRequest, RunRequest
from harness.cli.parser import commands_of, make_parser
from harness.cli.results import ShowRequest
from harness.errors import (
    BuildFailed,
    CheckFailed,
    GuestHung,
    HarnessError,
    NoSuchSource,
    UnsupportedError,
    UsageError,
)
from harness.kbuild import base_names, variant_names
from harness.kbuild.mutant import mutant_names
from harness.targets import Accelerator, Deadlines
from harness.targets.subjects import TargetChoice

ARM64 = arch_named("aarch64")
COMMANDS = (
    "doctor", "build", "boot", "kselftest", "run", "show", "import", "image", "tune",
    "agree", "replay", "mutants",
)  # fmt: skip
HOUR = Deadlines(boot_s=3600, silence_s=3600, total_s=3600)
FIVE_MINUTES = Deadlines(boot_s=300, silence_s=300, total_s=300)
SHORT = Deadlines(boot_s=1.5, silence_s=1.5, total_s=1.5)


def status_of(arguments: list[str]) -> object:
    """What the command exits with, be it argparse that ends it."""
    try:
        return main(arguments)
    except SystemExit as leaving:
        return leaving.code


def run_request(*arguments: str) -> RunRequest:
    request = parse_arguments(["run", *arguments])
    assert isinstance(request, RunRequest)
    return request


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        ("doctor", DoctorRequest(ARM64)),
        ("doctor --bases", DoctorRequest(ARM64, bases=True)),
        ("build", BuildRequest(("switch",), ("6.12",), ARM64)),
        (
            "build --variant none,strdup --base 6.1",
            BuildRequest(("none", "strdup"), ("6.1",), ARM64),
        ),
        (
            "build --mutant fork-forgets-names,hole-ends-walk",
            BuildRequest(
                (), ("6.12",), UM, ("fork-forgets-names", "hole-ends-walk")
            ),
        ),
        (
            "build --mutant all --arch um --base 6.12",
            BuildRequest((), ("6.12",), UM, tuple(mutant_names())),
        ),
        (
            "build --variant all --base all --arch aarch64",
            BuildRequest(tuple(variant_names()), tuple(base_names()), ARM64),
        ),
        (
            "boot",
            BootRequest(
                choice=TargetChoice(kind="qemu", deadlines=HOUR), variant="switch",
                base="6.12", image=None, share=(), memory_mib=None, command=(),
            ),
        ),
        (
            "boot --variant none --base 6.1 --memory 512 --deadline 1.5 -- ls -l --x",
            BootRequest(
                choice=TargetChoice(kind="qemu", deadlines=SHORT), variant="none",
                base="6.1", image=None, share=(), memory_mib=512,
                command=("ls", "-l", "--x"),
            ),
        ),
        (
            "boot --target uml --share a --share b -- true",
            BootRequest(
                choice=TargetChoice(kind="uml", deadlines=HOUR), variant="switch",
                base="6.12", image=None, share=(Path("a"), Path("b")),
                memory_mib=None, command=("true",),
            ),
        ),
        (
            "boot --image i --accel tcg",
            BootRequest(
                choice=TargetChoice(
                    kind="qemu", accelerator=Accelerator.TCG, deadlines=HOUR
                ),
                variant="switch", base="6.12", image=Path("i"), share=(),
                memory_mib=None, command=(),
            ),
        ),
        (
            "kselftest",
            KselftestRequest(
                choices=(TargetChoice(kind="qemu", deadlines=FIVE_MINUTES),),
                variants=("refcount",), bases=("6.12",),
            ),
        ),
        (
            "kselftest --target uml,qemu --arch x86_64 --accel tcg --deadline 1.5 "
            "--variant none,switch --base all",
            KselftestRequest(
                choices=(
                    TargetChoice(
                        kind="uml", accelerator=Accelerator.TCG, deadlines=SHORT
                    ),
                    TargetChoice(
                        kind="qemu", arch="x86_64", accelerator=Accelerator.TCG,
                        deadlines=SHORT,
                    ),
                ),
                variants=("none", "switch"), bases=tuple(base_names()),
            ),
        ),
        (
            "import r.jsonl --name n",
            ImportRequest(records=Path("r.jsonl"), results=Path("results"), name="n"),
        ),
        (
            "image --out o --wheels w",
            ImageRequest(
                out=Path("o"), variant="switch", base="6.12", arch=ARM64,
                wheels=Path("w"),
            ),
        ),
        ("tune", TuneRequest(action="show")),
        ("tune --apply", TuneRequest(action="apply")),
        ("tune --undo", TuneRequest(action="undo")),
        ("show", ShowRequest(None, Path("results"), ("fork",))),
        ("show a/b --results c", ShowRequest(Path("a/b"), Path("c"), ("fork",))),
        (
            "show --metric name,split",
            ShowRequest(None, Path("results"), ("name", "split")),
        ),
    ],
)  # fmt: skip
def test_arguments_make_a_request(
    arguments: str, request_: object, sources: set[str]
) -> None:
    assert parse_arguments(arguments.split()) == request_


def test_run_without_arguments_is_the_plan_of_the_table() -> None:
    assert run_request() == RunRequest(
        plan=Plan(),
        choices=(TargetChoice(kind="qemu"),),
        results=Path("results"),
        name=None,
        parallel=len(os.sched_getaffinity(0)),
        argv=("anonvma", "run"),
    )


EVERY_OPTION = """
    --variant none,switch --base 6.1 --vmas 10,1_000 --pages 0,3
    --naming shared:5,distinct:9 --boots 2 --blocks 3 --repetitions 4 --warmups 0
    --seed 0 --name n --jobs 5 --boot-deadline 6 --silence-deadline 7.5
    --deadline 8 --results r --target uml,qemu --arch aarch64,x86_64 --accel icount
"""


def test_every_option_of_run_is_in_its_request() -> None:
    arguments = EVERY_OPTION.split()
    limits = Deadlines(boot_s=6, silence_s=7.5, total_s=8)
    choice = TargetChoice(kind="uml", accelerator=Accelerator.ICOUNT, deadlines=limits)

    assert run_request(*arguments) == RunRequest(
        plan=Plan(
            variants=("none", "switch"), bases=("6.1",), vmas=(10, 1000), pages=(0, 3),
            naming=("shared:5", "distinct:9"), boots=2, blocks=3, repetitions=4,
            warmups=0, seed=0,
        ),
        choices=(
            replace(choice, kind="uml"),
            replace(choice, kind="qemu"),
            replace(choice, kind="qemu", arch="x86_64"),
        ),
        results=Path("r"),
        name="n",
        parallel=5,
        argv=("anonvma", "run", *arguments),
    )  # fmt: skip


def test_options_win_over_the_plan_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('vmas = [10]\nboots = 9\nwarmups = 5\nvariants = ["strdup"]\n')

    request = run_request("--plan", str(path), "--boots", "2", "--warmups", "0")

    assert request.plan == Plan(vmas=(10,), boots=2, warmups=0, variants=("strdup",))


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The bases whose source is installed: at first all."""
    there = {*base_names()}

    def find(base: str) -> None:
        if base not in there:
            raise NoSuchSource(f"no linux-source-{base} here")

    monkeypatch.setattr(choices, "find_source", find)
    return there


def kernels_of(request: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The variants and bases that a request is of."""
    asked = request.plan if isinstance(request, RunRequest) else request
    assert isinstance(asked, Plan | BuildRequest | KselftestRequest | AuditRequest)
    return asked.variants, asked.bases


def lists_of_kernels() -> list[str]:
    """The commands whose --variant and --base are lists."""
    return [
        command
        for command, parser in commands_of(make_parser())
        if {"variants", "bases"} <= {action.dest for action in parser._actions}
    ]


def test_all_kernels_can_be_asked_of_every_command_that_takes_several() -> None:
    assert lists_of_kernels() == ["run", "build", "kselftest", "audit"]


@pytest.mark.parametrize("command", lists_of_kernels())
def test_all_is_every_variant_and_every_base_that_has_a_source(
    command: str, sources: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    variants = keeping_names() if command == "audit" else variant_names()
    line = [command, "--variant", "all", "--base", "all"]

    assert kernels_of(parse_arguments(line)) == (tuple(variants), tuple(base_names()))
    assert capsys.readouterr().err == ""

    sources.remove("6.1")
    assert kernels_of(parse_arguments(line)) == (tuple(variants), ("6.12",))
    told = "anonvma: left out: no linux-source-6.1 here\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("command", lists_of_kernels())
def test_all_beside_a_name_is_the_name_of_nothing(command: str) -> None:
    for option, word in (("--variant", "all,refcount"), ("--base", "6.12,all")):
        with pytest.raises(UsageError, match="is called 'all'; known: "):
            parse_arguments([command, option, word])


def test_a_plan_file_may_ask_for_all_kernels(tmp_path: Path, sources: set[str]) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('variants = ["all"]\nbase = "all"\n')

    request = run_request("--plan", str(path))

    assert kernels_of(request) == (tuple(variant_names()), tuple(base_names()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "required: COMMAND"),
        ("other", "invalid choice: 'other'"),
        ("show a b", "unrecognized arguments: b"),
        ("doctor --arch vax", "invalid choice: 'vax'"),
        ("boot --variant odd", "invalid choice: 'odd'"),
        ("boot --base 5.4", "invalid choice: '5.4'"),
        ("boot --memory 0", "expected a whole number from 1, not '0'"),
        ("boot --deadline 0", "expected seconds above 0, not '0'"),
        ("boot --deadline nan", "expected seconds above 0, not 'nan'"),
        ("boot --deadline inf", "expected seconds above 0, not 'inf'"),
        ("boot --deadline soon", "expected seconds above 0, not 'soon'"),
        ("build --variant odd", "no variant is called 'odd'; known: none, refcount"),
        ("build --base 5.4", "no base is called '5.4'; known: 6.1, 6.12"),
        ("build --mutant odd", "no mutant is called 'odd'; known: advice-clears"),
        ("build --mutant ,", "argument --mutant: expected one or more words, not ','"),
        (
            "build --mutant all --variant none",
            "for um only: with --mutant, leave out --variant",
        ),
        (
            "build --mutant all --variant switch",
            "for um only: with --mutant, leave out --variant",
        ),
        ("build --mutant all --base 6.1", "mutants are built from 6.12 for um only"),
        ("build --mutant all --base all", "mutants are built from 6.12 for um only"),
        (
            "build --mutant all --arch aarch64",
            "mutants are built from 6.12 for um only",
        ),
        ("kselftest --variant odd", "no variant is called 'odd'; known: none, refc"),
        ("kselftest --base 5.4", "no base is called '5.4'; known: 6.1, 6.12"),
        ("kselftest --target vax", "no target is called 'vax'; known: host, uml, qemu"),
        ("kselftest --target uml,host", "kselftest runs in guests: give --target qemu"),
        ("kselftest --variant ,", "argument --variant: expected one or more words"),
        ("kselftest --base ,", "argument --base: expected one or more"),
        ("kselftest --deadline 0", "expected seconds above 0, not '0'"),
        ("run --variant odd", "no variant is called 'odd'; known: none, refcount"),
        ("run --base 5.4", "no base is called '5.4'; known: 6.1, 6.12"),
        ("run --vmas ten", "expected a whole number from 1, not 'ten'"),
        ("run --vmas 10,0", "expected a whole number from 1, not '0'"),
        ("run --vmas=-5", "expected a whole number from 1, not '-5'"),
        ("run --vmas 1.5", "expected a whole number from 1, not '1.5'"),
        ("run --vmas ,", "argument --vmas: expected one or more words, not ','"),
        ("run --pages=-1", "expected a whole number from 0, not '-1'"),
        ("run --boots 0", "expected a whole number from 1, not '0'"),
        ("run --boots=-1", "expected a whole number from 1, not '-1'"),
        ("run --warmups=-1", "expected a whole number from 0, not '-1'"),
        ("run --seed x", "expected a whole number from 0, not 'x'"),
        ("run --jobs 0", "expected a whole number from 1, not '0'"),
        ("run --naming distinct", "'distinct' is not a naming scheme; expected none"),
        ("run --naming distinct:80", "a name is 0 to 79 bytes long, not 80"),
        (
            "run --naming distinct:1",
            "not enough different names of 1 bytes for VMA 999",
        ),
        ("run --vmas 5,5", "vmas has a value twice"),
        ("run --plan no/such.toml", "cannot read no/such.toml"),
        ("agree --ops 0", "expected a whole number from 1, not '0'"),
        ("agree --theme odd", "'odd' is not a valid Theme; themes are names, kinds"),
        ("agree --target uml,qemu", "agree takes one kernel: give one --target"),
        ("replay no/such.jsonl", "no/such.jsonl cannot be read"),
        ("mutants --name odd", "no mutant is called 'odd'; known: advice-clears"),
        ("run --name a/b", "'a/b' cannot be the name of a campaign"),
        ("show no/such", "there is no campaign and no path called no/such"),
        ("show --results no/such", "there is no campaign in no/such; try anonvma run"),
    ],
)
def test_arguments_that_make_no_sense_are_status_2_and_say_what_would(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    status = status_of(arguments.split())

    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_has_examples_and_what_the_exit_status_means(
    capsys: pytest.CaptureFixture[str], command: str | None
) -> None:
    status = status_of([*([command] if command else []), "--help"])

    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    assert "exit status: 0 done; 1 a check failed or a kernel diverged; 2 wrong" in out
    if command != "doctor":
        assert "examples:\n  anonvma " in out
    if command is None:
        assert all(f"    {name}  " in out for name in COMMANDS)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("why"), 2),
        (BuildFailed("why"), 3),
        (GuestHung("why", "its last words"), 3),
        (UnsupportedError("why"), 4),
        (CheckFailed("why"), 1),
    ],
)
def test_an_error_is_one_message_and_its_status(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: HarnessError,
    status: int,
) -> None:
    def fail(request: ShowRequest) -> int:
        raise error

    monkeypatch.setattr(results, "newest_campaign", fail)

    assert main(["show"]) == status
    assert capsys.readouterr() == ("", f"anonvma: {error}\n")


def test_an_error_s_words_do_not_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: ShowRequest) -> int:
        raise UsageError("a\x1b[2Jb\n  kept")

    monkeypatch.setattr(results, "newest_campaign", fail)
    main(["show"])

    assert capsys.readouterr().err == "anonvma: a\\x1b[2Jb\n  kept\n"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["drgn", "qemu", "scipy", "matplotlib"])
def test_what_an_image_lacks_is_not_needed_to_start(module: str) -> None:
    program = f"import sys; sys.modules[{module!r}] = None; import harness.cli.main"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_what_needs_no_table_waits_for_no_pandas() -> None:
    program = "import sys, harness.cli; sys.exit('pandas' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["--version"]) == 0
    installed = importlib.metadata.version("anon-vma-harness")
    assert capsys.readouterr().out == f"{installed}\n"


@pytest.mark.parametrize(("old", "new"), [("truth", "audit"), ("probe", "pyz")])
def test_a_command_works_under_its_old_name_and_says_the_new_one(
    old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    request = parse_arguments([old])

    assert request == parse_arguments([new])
    assert capsys.readouterr().err == (
        f"anonvma: {old} is now called {new}; the old name works until 0.5\n"
    )
