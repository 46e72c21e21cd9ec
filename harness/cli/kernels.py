"""Commands that build kernels, guest images and anonvma.pyz: build, image, pyz."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.arch import ARCHES, QEMU_ARCHES, UM, Arch, arch_named
from harness.cli.arguments import add_arch, add_kernel, add_kernels, path, words
from harness.cli.choices import chosen, chosen_kernels
from harness.cli.command import Command
from harness.cli.paths import check_file, check_folder, check_given_folder
from harness.cli.progress import Progress
from harness.errors import UsageError
from harness.host.programs import printable
from harness.kbuild import build_kernel, variant_named
from harness.kbuild.mutant import BASE, mutant_named, mutant_names, mutant_variant
from harness.targets import make_image, write_pyz


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """The arguments of ``anonvma build``; ``mutants`` are built instead of variants."""

    variants: tuple[str, ...]
    bases: tuple[str, ...]
    arch: Arch
    mutants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """The arguments of ``anonvma image``: the folder, the kernel and the machine."""

    out: Path
    variant: str
    base: str
    arch: Arch
    wheels: Path | None


@dataclass(frozen=True, slots=True)
class PyzRequest:
    """The arguments of ``anonvma pyz``."""

    out: Path


def _add_build(sub: argparse.ArgumentParser) -> None:
    add_kernels(sub, variant="switch")
    add_arch(sub, sorted(ARCHES))
    sub.add_argument(
        "--mutant", type=words, metavar="NAMES",
        help="mutants of kernels/mutants/ to build instead, or all (from 6.12, for um)",
    )  # fmt: skip


def _build_request(options: argparse.Namespace, _: Sequence[str]) -> BuildRequest:
    if options.mutant is not None:
        return _mutant_build_request(options)
    variants, bases = chosen_kernels(options.variants, options.bases)
    return BuildRequest(
        variants=variants,
        bases=bases,
        arch=arch_named(options.arch),
    )


def _mutant_build_request(options: argparse.Namespace) -> BuildRequest:
    # An option that repeats the only possible value is accepted.
    same = {"--base": options.bases == (BASE,), "--arch": options.arch == UM.name}
    if any(not same.get(option) for option in {*options.given} - {"--mutant"}):
        raise UsageError(
            f"mutants are built from {BASE} for {UM.name} only: with --mutant, leave "
            "out --variant, --base and --arch"
        )
    names = chosen(options.mutant, mutant_names())
    for name in names:
        mutant_named(name)
    return BuildRequest(variants=(), bases=(BASE,), arch=UM, mutants=names)


def build(request: BuildRequest) -> int:
    """Build kernels, and print the path of each image."""
    variants = [
        *map(variant_named, request.variants),
        *(mutant_variant(mutant_named(name)) for name in request.mutants),
    ]
    with Progress() as progress:
        for base in request.bases:
            for variant in variants:
                kernel = build_kernel(
                    variant, base, request.arch, on_step=progress.step
                )
                progress.result(
                    f"{variant.name} {base} {request.arch.name}: {kernel.image}\n"
                )
    return 0


def _add_image(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--out",
        type=path,
        default=Path("image"),
        metavar="DIR",
        help="folder to write (default: image)",
    )
    add_kernel(sub, variant="switch")
    sub.add_argument(
        "--wheels",
        type=path,
        metavar="DIR",
        help="folder with Python's packages, used instead of the package index",
    )
    add_arch(sub, QEMU_ARCHES)


def _image_request(options: argparse.Namespace, _: Sequence[str]) -> ImageRequest:
    return ImageRequest(
        out=options.out,
        variant=options.variant,
        base=options.base,
        arch=arch_named(options.arch),
        wheels=options.wheels,
    )


def image(request: ImageRequest) -> int:
    """Make a guest image, and print how to boot it."""
    check_given_folder("--wheels", request.wheels)
    check_folder(request.out)
    with Progress() as progress:
        kernel = build_kernel(
            variant_named(request.variant), request.base, request.arch,
            on_step=progress.step,
        )  # fmt: skip
        make_image(
            request.out, kernel.image, request.arch, wheels=request.wheels,
            on_step=progress.step,
        )  # fmt: skip
    out = printable(str(request.out))
    print(f"made {out}; to start a shell in it: anonvma boot --image {out}")
    return 0


def _add_pyz(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--out", type=path, default=Path("anonvma.pyz"), metavar="FILE",
        help="file to write (default: anonvma.pyz)",
    )  # fmt: skip


def _pyz_request(options: argparse.Namespace, _: Sequence[str]) -> PyzRequest:
    return PyzRequest(options.out)


def pyz(request: PyzRequest) -> int:
    """Make anonvma.pyz, and print how to use it."""
    check_file(request.out)
    write_pyz(request.out)
    print(
        f"made {printable(str(request.out))}; run it on the other machine: "
        f"python3 {printable(request.out.name)} run --out records.jsonl"
    )
    return 0


BUILD = Command(
    name="build",
    summary="Build kernels; a kernel that was built before is reused.",
    examples="""\
examples:
  anonvma build                           the kernel that run measures
  anonvma build --variant all --base all  every kernel, for ARM64 guests
  anonvma build --mutant all --arch um    every kernel with a planted bug
""",
    add_options=_add_build,
    request=_build_request,
    run=build,
)


IMAGE = Command(
    name="image",
    summary="Make a guest image that contains the whole harness.",
    examples="""\
examples:
  anonvma image                           make image/; then: anonvma boot --image image
""",
    add_options=_add_image,
    request=_image_request,
    run=image,
)


PYZ = Command(
    name="pyz",
    old_name="probe",
    summary="Make anonvma.pyz: one file that measures another machine.",
    examples="""\
examples:
  anonvma pyz
then, on the other machine:
  python3 anonvma.pyz doctor
  python3 anonvma.pyz run --vmas 65536 --out records.jsonl
""",
    add_options=_add_pyz,
    request=_pyz_request,
    run=pyz,
)


COMMANDS = (BUILD, IMAGE, PYZ)
