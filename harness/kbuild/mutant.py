"""Mutants: kernels that each have one bug in naming, from kernels/mutants/*.patch.

To add a mutant, add a file. Three lines come before the patch: ``What:`` says what
the bug does, ``Where:`` in which function it is, and ``Seen at:`` lists the operations
that show it, as ``harness.workload.ops`` calls them. ``Seen at: probe`` means that the
bug makes the kernel look like one of another base. ``Seen at: audit`` means that only
the kernel's memory shows the bug, and no call and no maps file. All patches are for
``BASE``, on top of the variant that shares names.
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
    """A bug: what it does, where it is, and which operations show it."""

    name: str
    what: str
    where: str
    seen_at: tuple[str, ...]
    patch: Path


def mutant_names() -> list[str]:
    """The names of all mutants, sorted."""
    return sorted(path.stem for path in (kernels_dir() / "mutants").glob("*.patch"))


def mutant_named(name: str) -> Mutant:
    """The mutant of that name. Raises UsageError, which lists the known ones."""
    if name not in mutant_names():
        known = ", ".join(mutant_names())
        raise UsageError(f"no mutant is called {name!r}; known: {known}")
    return read_mutant(kernels_dir() / "mutants" / f"{name}.patch")


def read_mutant(path: Path) -> Mutant:
    """Read a mutant's file. Raises UsageError, which says what is wrong with it."""
    try:
        header = _HEADER.match(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error!s:.200}") from None
    if header is None:
        raise UsageError(
            f"{path}: expected the lines What:, Where: and Seen at:, an empty line, "
            "and then the patch"
        )
    words = tuple(header["seen_at"].split(", "))
    known = [*WORDS.values(), "probe", AUDIT]
    if unknown := [word for word in words if word not in known]:
        raise UsageError(
            f"{path}: unknown operation in Seen at: {', '.join(unknown)[:200]}; "
            f"known: {', '.join(known)}"
        )
    return Mutant(
        name=path.stem,
        what=header["what"],
        where=header["where"],
        seen_at=words,
        patch=path,
    )


def mutant_variant(mutant: Mutant) -> Variant:
    """The variant that shares names, with the bug; build it on ``BASE``."""
    return replace(
        variant_named("refcount"),
        name=f"mutant-{mutant.name}",
        description=mutant.what,
        more_patches=(mutant.patch,),
    )
