"""Arguments in, one frozen request out, an exit status back."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import assert_never

from harness.arch import UM, arch_named
from harness.campaign import Plan, read_plan, read_preset
from harness.cli import commands
from harness.cli.agree import agree_, replay
from harness.cli.choices import choices_of, chosen, chosen_kernels
from harness.cli.compare import compare
from harness.cli.doctor import doctor
from harness.cli.given import refuse_idle
from harness.cli.importing import import_
from harness.cli.kselftest import kselftest
from harness.cli.mutants import mutants
from harness.cli.parser import make_parser
from harness.cli.parser_analysis import (
    compare_request,
    export_request,
    report_request,
    show_request,
)
from harness.cli.parser_model import agree_request, mutants_request, replay_request
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
from harness.kbuild.mutant import BASE, mutant_named, mutant_names
from harness.programs import printable, printable_lines
from harness.target import Deadlines
from harness.workload import check_schemes_differ

_INTERRUPTED = 130
# Of an error: a path and more, and the end of any console.
_LONGEST_LINE, _MOST_LINES = 5000, 200
_OF_AN_IMAGE = ("--variant", "--base", "--target", "--arch", "--kernel")


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
    for instead in ("mend", "bases"):
        if getattr(options, instead):
            refuse_idle(options, ("--arch",), f"with --{instead}")
    arch = arch_named(options.arch)
    return DoctorRequest(arch, mend=options.mend, bases=options.bases)


def _build_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    if options.mutant is not None:
        return _mutant_build_request(options)
    variants, bases = chosen_kernels(options.variants, options.bases)
    return BuildRequest(
        variants=variants,
        bases=bases,
        arch=arch_named(options.arch),
    )


def _mutant_build_request(options: argparse.Namespace) -> Request:
    # What says the same may be said.
    same = {"--base": options.bases == (BASE,), "--arch": options.arch == UM.name}
    if any(not same.get(option) for option in {*options.given} - {"--mutant"}):
        raise UsageError(
            f"a mutant is a kernel of its own, of {BASE}, for {UM.name}: --mutant "
            "goes with no --variant and no other --base or --arch"
        )
    names = chosen(options.mutant, mutant_names())
    for name in names:
        mutant_named(name)
    return BuildRequest(variants=(), bases=(BASE,), arch=UM, mutants=names)


def _boot_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    if options.image is not None:
        refuse_idle(options, _OF_AN_IMAGE, "with --image, which has its own kernel")
    limit = options.deadline
    limits = Deadlines(boot_s=limit, silence_s=limit, total_s=limit)
    choices = choices_of(options, limits)
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
    choices = choices_of(
        options, Deadlines(boot_s=limit, silence_s=limit, total_s=limit)
    )
    if any(choice.kind == "host" for choice in choices):
        raise UsageError("kselftest boots guests: --target qemu, uml or both")
    variants, bases = chosen_kernels(options.variants, options.bases)
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
    choices = choices_of(options, limits)
    # The types were seen to by read_plan and by the options' own.
    fields["variants"], fields["bases"] = chosen_kernels(
        fields.get("variants", Plan().variants),  # type: ignore[arg-type]
        fields.get("bases", Plan().bases),  # type: ignore[arg-type]
    )
    return RunRequest(
        plan=Plan(**fields),  # type: ignore[arg-type]
        choices=choices,
        results=options.results,
        name=options.name,
        parallel=options.jobs,
        argv=("anonvma", *arguments),
    )


def _show_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    return show_request(options)


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


def _truth_request(options: argparse.Namespace, _: Sequence[str]) -> Request:
    check_schemes_differ(options.naming)
    variants, bases = chosen_kernels(options.variants, options.bases, keeping_names())
    return truth_request(options, variants, bases)


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
    "agree": lambda options, _: agree_request(options),
    "replay": lambda options, _: replay_request(options),
    "mutants": lambda options, _: mutants_request(options),
    "truth": _truth_request,
    "compare": lambda options, _: compare_request(options),
    "export": lambda options, _: export_request(options),
    "report": lambda options, _: report_request(options),
}
