"""Mutants: kernels with one bug in naming each, from kernels/mutants/*.patch.

A file's existence is the registration. Before the patch it has three lines:
``What:`` the bug does, ``Where:`` it is, and the operations that it is
``Seen at:``, in the words of ``harness.workload.ops``; or ``probe`` where it makes
a kernel look like another base's; or ``audit`` where no call and no maps shows it,
only what the kernel holds. All are patches of ``BASE``, on top of the variant that
shares names.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import UsageError
from harness.host.paths import kernels_dir
from harness.kbuild.variant import Variant, variant_named
from harness.workload.ops import WORDS

BASE = "6.12"
AUDIT = "audit"

_HEADER = re.compile(
    r"What: (?P<what>.+)\nWhere: (?P<where>.+)\nSeen at: (?P<seen_at>.+)\n\n(?=--- a/)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A bug: what it does, where it is, at which operations it shows."""

    name: str
    what: str
    where: str
    seen_at: tuple[str, ...]
    patch: Path


def mutant_names() -> list[str]:
    """Every mutant there is a file for, sorted."""
    return sorted(path.stem for path in (kernels_dir() / "mutants").glob("*.patch"))


def mutant_named(name: str) -> Mutant:
    """The mutant of that name; UsageError lists the known ones."""
    if name not in mutant_names():
        known = ", ".join(mutant_names())
        raise UsageError(f"no mutant is called {name!r}; known: {known}")
    return read_mutant(kernels_dir() / "mutants" / f"{name}.patch")


def read_mutant(path: Path) -> Mutant:
    """A mutant's file as a value; UsageError says what is wrong with it."""
    try:
        header = _HEADER.match(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error!s:.200}") from None
    if header is None:
        raise UsageError(
            f"{path}: it should begin with lines What:, Where: and Seen at:, an empty "
            "one, and the patch"
        )
    words = tuple(header["seen_at"].split(", "))
    known = [*WORDS.values(), "probe", AUDIT]
    if unknown := [word for word in words if word not in known]:
        raise UsageError(
            f"{path}: seen at {', '.join(unknown)[:200]}; "
            f"operations are {', '.join(known)}"
        )
    return Mutant(
        name=path.stem,
        what=header["what"],
        where=header["where"],
        seen_at=words,
        patch=path,
    )


def mutant_variant(mutant: Mutant) -> Variant:
    """The variant that shares names, with the bug; to be built on ``BASE``."""
    return replace(
        variant_named("refcount"),
        name=f"mutant-{mutant.name}",
        description=mutant.what,
        more_patches=(mutant.patch,),
    )
