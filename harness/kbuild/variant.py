"""Variants: the kernels that can be built, from kernels/variants/*.toml.

To add a variant, add a file. Its keys are ``description``; ``config``, the fragments
kernels/config/NAME.config, to which the machine's fragment is added; ``patches``, the
files in kernels/patches/BASE/; and ``stores``, the ways in which it can store names.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from harness.arch import Arch
from harness.errors import UsageError
from harness.host.paths import kernels_dir
from harness.kbuild.toml_table import read_table
from harness.workload import Store

# kernels/config/audit.config
_AUDIT = "audit"
# No slash, and neither "." nor "..", so that the file is in its folder.
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A kernel that can be built on any base that has its patches.

    ``more_patches`` are paths of further patches, applied last. If ``readable``, its
    memory can be read and its calls are counted, and its vmlinux is kept.
    """

    name: str
    description: str
    config: tuple[str, ...]
    patches: tuple[str, ...]
    stores: tuple[Store, ...]
    more_patches: tuple[Path, ...] = ()
    readable: bool = False


def variant_names() -> list[str]:
    """The names of all variants, sorted."""
    return sorted(path.stem for path in (kernels_dir() / "variants").glob("*.toml"))


def base_names() -> list[str]:
    """All bases that have patches, oldest first."""
    bases = [path.name for path in (kernels_dir() / "patches").glob("[0-9]*.[0-9]*")]
    return sorted(bases, key=lambda base: [int(part) for part in base.split(".")])


def check_base(name: str) -> None:
    """Raise UsageError, which lists the known bases, if there is no base ``name``."""
    if name not in base_names():
        known = ", ".join(base_names())
        raise UsageError(f"no base is called {name[:100]!r}; known: {known}")


def variant_named(name: str) -> Variant:
    """The variant of that name. Raises UsageError, which lists the known ones."""
    if name not in variant_names():
        known = ", ".join(variant_names())
        raise UsageError(f"no variant is called {name!r}; known: {known}")
    return read_variant(kernels_dir() / "variants" / f"{name}.toml")


def readable(variant: Variant) -> Variant:
    """The variant with debug information and counted calls. Do not time it."""
    return replace(
        variant,
        name=f"{variant.name}-{_AUDIT}",
        config=(*variant.config, _AUDIT),
        patches=(*variant.patches, "readable.patch"),
        readable=True,
    )


def read_variant(path: Path) -> Variant:
    """Read a variant's file. Raises UsageError, which says what is wrong with it.

    It can name only files in kernels/.
    """
    table = read_table(path)
    wanted = {"description", "config", "patches", "stores"}
    if set(table) != wanted:
        raise UsageError(
            f"{path}: the keys should be {sorted(wanted)}, but are "
            f"{sorted(table)!r:.300}"
        )
    if not isinstance(table["description"], str):
        raise UsageError(f"{path}: description should be a string")
    for key in ("config", "patches", "stores"):
        if not isinstance(table[key], list) or not all(
            isinstance(word, str) for word in table[key]
        ):
            raise UsageError(f"{path}: {key} should be a list of strings")
    for key in ("config", "patches"):
        for word in table[key]:
            if not _FILE_NAME.fullmatch(word):
                raise UsageError(
                    f"{path}: {key} contains {word[:100]!r}, which is not a plain "
                    "file name"
                )
    try:
        stores = tuple(Store(word) for word in table["stores"])
    except ValueError as error:
        known = ", ".join(store.value for store in Store)
        raise UsageError(f"{path}: {error!s:.200}; known stores: {known}") from None
    return Variant(
        name=path.stem,
        description=table["description"],
        config=tuple(table["config"]),
        patches=tuple(table["patches"]),
        stores=stores,
    )


def patch_paths(variant: Variant, base: str, arch: Arch) -> list[Path]:
    """The machine's patches for a base, then the variant's.

    Raises UsageError if the base is unknown or lacks a patch.
    """
    check_base(base)
    names = (*arch.patches, *variant.patches)
    paths = [kernels_dir() / "patches" / base / name for name in names]
    for path in paths:
        if not path.exists():
            raise UsageError(
                f"{variant.name} cannot be built on {base}: there is no {path}"
            )
    return [*paths, *variant.more_patches]
