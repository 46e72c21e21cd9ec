"""Arguments in, one frozen request out, an exit status back."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from harness.arch import QEMU_ARCHES, UM, arch_named
from harness.campaign import TARGETS, Plan, TargetChoice, read_plan, read_preset
from harness.campaign.agree import AgreePlan
from harness.cli import commands
from harness.cli.agree import agree_, replay
from harness.cli.compare import compare
from harness.cli.doctor import doctor
from harness.cli.importing import import_
from harness.cli.kselftest import kselftest
from harness.cli.mutants import mutants
from harness.cli.parser import make_parser
from harness.cli.parser_analysis import (
    compare_request,
    export_request,
    report_request,
)
from harness.cli.requests import (
    AgreeRequest,
    BootRequest,
    BuildRequest,
    CompareRequest,
    DoctorRequest,
    ExportRequest,
    ImageRequest,
    ImportRequest,
    KselftestRequest,
    MutantsRequest,
    ProbeRequest,
    ReplayRequest,
    ReportRequest,
    Request,
    RunRequest,
    ShowRequest,
    TruthRequest,
    TuneRequest,
)
from harness.cli.truth import keeping_names, truth_, truth_request
from harness.cli.tune import tune
from harness.errors import EnvironmentFault, HarnessError, UsageError
from harness.kbuild import base_names, variant_names
from harness.kbuild.mutant import BASE, mutant_named, mutant_names
from harness.model import OF_BASES
from harness.programs import printable, printable_lines
from harness.target import Accelerator, Deadlines, arch_of_image
from harness.workload.gen import HARMLESS, Theme

_INTERRUPTED = 130
# Of an error: a path and more, and the end of any console.
_LONGEST_LINE, _MOST_LINES = 5000, 200
# What agree plays when it is not told; and where only time is to end it.
_OPERATIONS, _DAYS = 20_000, 10**9


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``anonvma``: parse, do, and turn every error into one message."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _do(parse_arguments(arguments))
    except HarnessError as error:
        print(message_of(error), file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("anonvma: stopped", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # The disk, a folder, a limit: the environment's, and it says which.
        print(f"anonvma: {printable(str(error))}", file=sys.stderr)
        return EnvironmentFault.status


def message_of(error: HarnessError) -> str:
    """What is said of an error; nothing in it steers a terminal."""
    lines = str(error).split("\n")[:_MOST_LINES]
    return printable_lines(
        "anonvma: " + "\n".join(line[:_LONGEST_LINE] for line in lines)
    )


def parse_arguments(arguments: Sequence[str]) -> Request:
    """The request that the arguments make; UsageError where they make none.

    ``--help`` and argparse's own errors end the process, with status 0 and 2.
    """
    options = make_parser().parse_args(arguments)
    make: Callable[[argparse.Namespace, Sequence[str]], Request]
    make = _REQUESTS[options.request]
    return make(options, arguments)


def _do(request: Request) -> int:
    match request:
        case DoctorRequest():
            return doctor(request)
        case BuildRequest():
            return commands.build(request)
        case BootRequest():
            return commands.boot(request)
        case KselftestRequest():
            return kselftest(request)
        case RunRequest():
            return commands.run(request)
        case ShowRequest():
            return commands.show(request)
        case ImageRequest():
            return commands.image(request)
        case ProbeRequest():
            return commands.probe(request)
        case ImportRequest():
            return import_(request)
        case TuneRequest():
            return tune(request)
        case AgreeRequest():
            return agree_(request)
        case ReplayRequest():
            return replay(request)
        case MutantsRequest():
            return mutants(request)
        case TruthRequest():
            return truth_(request)
        case ReportRequest():
            return commands.report(request)
        case ExportRequest():
            return commands.export(request)
        case CompareRequest():
            return compare(request)
        case _:
            assert_never(request)


def _doctor_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return DoctorRequest(arch_named(options.arch), mend=options.mend)


def _build_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    if options.mutant is not None:
        return _mutant_build_request(options)
    variants = ("switch",) if options.variant is None else options.variant
    bases = ("6.12",) if options.base is None else options.base
    return BuildRequest(
        variants=_chosen(variants, variant_names()),
        bases=_chosen(bases, base_names()),
        arch=arch_named(options.arch or "aarch64"),
    )


def _mutant_build_request(options: argparse.Namespace) -> Request:
    if (
        options.variant is not None
        or options.base not in (None, (BASE,))
        or options.arch not in (None, UM.name)
    ):
        raise UsageError(
            f"a mutant is a kernel of its own, of {BASE}, for {UM.name}: --mutant "
            "goes with no --variant and no other --base or --arch"
        )
    names = _chosen(options.mutant, mutant_names())
    if not names:
        raise UsageError("--mutant needs a name, or all")
    for name in names:
        mutant_named(name)
    return BuildRequest(variants=(), bases=(BASE,), arch=UM, mutants=names)


def _chosen(words: tuple[str, ...], known: Sequence[str]) -> tuple[str, ...]:
    return tuple(known) if words == ("all",) else words


def _boot_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    limit = options.deadline
    limits = Deadlines(boot_s=limit, silence_s=limit, total_s=limit)
    choices = _choices(options, limits)
    if len(choices) != 1 or choices[0].kind == "host":
        raise UsageError("boot boots one guest: --target qemu or uml, of one --arch")
    if options.share and choices[0].kind != "uml":
        raise UsageError("only a guest of User-Mode Linux can share folders: add "
                         "--target uml")  # fmt: skip
    return BootRequest(
        choice=choices[0],
        variant=options.variant,
        base=options.base,
        image=options.image,
        share=tuple(options.share),
        memory_mib=options.memory,
        command=tuple(options.command),
    )


def _kselftest_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    limit = options.deadline
    choices = _choices(options, Deadlines(boot_s=limit, silence_s=limit, total_s=limit))
    if any(choice.kind == "host" for choice in choices):
        raise UsageError("kselftest boots guests: --target qemu, uml or both")
    variants = _chosen(options.variant, variant_names())
    bases = _chosen(options.base, base_names())
    if not (variants and bases):
        raise UsageError("kselftest needs a variant and a base")
    return KselftestRequest(choices=choices, variants=variants, bases=bases)


def _run_request(options: argparse.Namespace, arguments: Sequence[str]) -> Request:
    fields: dict[str, object] = {}
    if options.plan is not None:
        fields = read_plan(options.plan)
    elif options.campaign is not None:
        fields = read_preset(options.campaign)
    for name in Plan.__dataclass_fields__:
        if getattr(options, name) is not None:
            fields[name] = getattr(options, name)
    limits = Deadlines(
        boot_s=options.boot_deadline,
        silence_s=options.silence_deadline,
        total_s=options.deadline,
    )
    return RunRequest(
        # The types were seen to by read_plan and by the options' own.
        plan=Plan(**fields),  # type: ignore[arg-type]
        choices=_choices(options, limits),
        results=options.results,
        name=options.name,
        parallel=options.jobs,
        argv=("anonvma", *arguments),
    )


def _choices(
    options: argparse.Namespace, limits: Deadlines
) -> tuple[TargetChoice, ...]:
    """Every target that is asked for: of QEMU's, one a machine."""
    for words, known, what in (
        (options.target, TARGETS, "target"),
        (options.arch, QEMU_ARCHES, "machine of QEMU's guests"),
    ):
        for word in words or ():
            if word not in known:
                raise UsageError(
                    f"no {what} is called {word!r}; known: {', '.join(known)}"
                )
    kinds, arches = options.target, options.arch
    if options.kernel is not None:
        found = arch_of_image(options.kernel)
        kinds = kinds or (("uml",) if found == "um" else ("qemu",))
        arches = arches or ((found,) if found != "um" else None)
    choices = []
    for kind in kinds or ("qemu",):
        if kind == "host" and options.kernel is not None:
            raise UsageError("--target host measures the running kernel, not --kernel")
        accelerator = None if options.accel == "auto" else Accelerator(options.accel)
        choice = TargetChoice(
            kind=kind, accelerator=accelerator, kernel=options.kernel, deadlines=limits
        )
        if kind == "qemu":
            choices += [replace(choice, arch=a) for a in arches or ("aarch64",)]
        else:
            choices.append(choice)
    if options.arch and "qemu" not in (kinds or ("qemu",)):
        raise UsageError("--arch is of QEMU's guests: add --target qemu")
    return tuple(choices)


def _show_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return ShowRequest(options.path, options.results)


def _import_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return ImportRequest(
        records=options.records, results=options.results, name=options.name
    )


def _tune_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return TuneRequest(action=options.action)


def _probe_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return ProbeRequest(options.out)


def _image_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return ImageRequest(
        out=options.out,
        variant=options.variant,
        base=options.base,
        arch=arch_named(options.arch),
        wheels=options.wheels,
    )


def _agree_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    choice = _one_choice(options, "agree")
    themes = _themes(options.theme, choice)
    operations = options.ops or (_DAYS if options.seconds else _OPERATIONS)
    plan = AgreePlan(
        operations=operations,
        seconds=options.seconds,
        seed=options.seed,
        pages=options.pages,
        length=options.length,
        themes=themes,
        # Of what is not ours the base is not known, and its way is its own.
        expected={} if choice.foreign else OF_BASES[options.base],
        guests=1 if choice.kind == "host" else options.jobs,
    )
    return AgreeRequest(
        plan=plan,
        choice=choice,
        variant=options.variant,
        base=options.base,
        shrink=options.shrink,
        record=options.record,
        out=options.results,
    )


def _themes(words: Sequence[str], choice: TargetChoice) -> tuple[Theme, ...]:
    if not words:
        # Elsewhere than in a guest of ours, others live under the same limit.
        return HARMLESS if choice.kind == "host" else tuple(Theme)
    known = ", ".join(theme.value for theme in Theme)
    try:
        return tuple(Theme(word) for word in words)
    except ValueError as error:
        raise UsageError(f"{error}; themes are {known}") from None


def _replay_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    asked = options.target or options.kernel or options.arch
    return ReplayRequest(
        trace=options.trace,
        choice=_one_choice(options, "replay") if asked else None,
        variant=options.variant,
        base=options.base,
    )


def _mutants_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    names = options.name or tuple(mutant_names())
    for name in names:
        mutant_named(name)
    return MutantsRequest(
        names=names,
        of_the_day=options.of_the_day,
        plan=AgreePlan(
            operations=options.ops,
            seed=options.seed,
            guests=options.jobs,
            expected=OF_BASES[BASE],
        ),
    )


def _truth_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return truth_request(
        options,
        _chosen(options.variant, keeping_names()),
        _chosen(options.base, base_names()),
    )


def _one_choice(options: argparse.Namespace, command: str) -> TargetChoice:
    if options.target is None and options.kernel is None and options.arch is None:
        options.target = ("uml",)
    if options.accel == "auto":
        # No clock is read: instructions need not be counted.
        options.accel = Accelerator.TCG.value
    limits = Deadlines(total_s=options.deadline)
    choices = _choices(options, limits)
    if len(choices) != 1:
        raise UsageError(f"{command} is of one kernel: one --target, of one --arch")
    return choices[0]


_REQUESTS: dict[str, Callable[[argparse.Namespace, Sequence[str]], Request]] = {
    "doctor": _doctor_request,
    "build": _build_request,
    "boot": _boot_request,
    "kselftest": _kselftest_request,
    "run": _run_request,
    "show": _show_request,
    "import": _import_request,
    "tune": _tune_request,
    "image": _image_request,
    "probe": _probe_request,
    "agree": _agree_request,
    "replay": _replay_request,
    "mutants": _mutants_request,
    "truth": _truth_request,
    "compare": lambda options, _: compare_request(options),
    "export": lambda options, _: export_request(options),
    "report": lambda options, _: report_request(options),
}
