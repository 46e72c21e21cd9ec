"""Naming schemes: the names of a layout's VMAs, and the calls that give them.

All VMAs that one prctl() names share one struct anon_vma_name (since 5.17). A VMA that
is named by its own call has its own struct. The two cost differently at fork, so a
scheme determines both the calls and the texts.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from harness.errors import UsageError

# ANON_VMA_NAME_MAX_LEN without its NUL byte
MAX_NAME = 79

# Valid in a name, and without special meaning in files, shells and reports.
_DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST_DIGITS = tuple(bytes((digit,)) for digit in _DIGITS)


class NamingKind(Enum):
    """How the VMAs of a layout are named; see NamingScheme."""

    NONE = "none"
    SHARED = "shared"
    DISTINCT = "distinct"
    DISTINCT_SAME_TEXT = "distinct-same-text"


@dataclass(frozen=True, slots=True)
class NamingScheme:
    """A kind, and the length of the names in bytes (0 for none).

    shared: one call names all VMAs; they share one struct.
    distinct: each VMA has its own call, struct and text.
    distinct-same-text: each VMA has its own call and struct; all texts are equal.

    Raises UsageError for a length that the kernel refuses.
    """

    kind: NamingKind
    length: int = 0

    def __post_init__(self) -> None:
        if self.kind is NamingKind.NONE:
            if self.length:
                raise UsageError("naming 'none' takes no length")
        elif not 0 <= self.length <= MAX_NAME:
            raise UsageError(
                f"a name is 0 to {MAX_NAME} bytes long, not {self.length!r}"
            )

    @property
    def label(self) -> str:
        """The scheme as users write it, such as ``none`` or ``distinct:79``."""
        if self.kind is NamingKind.NONE:
            return "none"
        return f"{self.kind.value}:{self.length}"

    def name_of(self, index: int) -> bytes | None:
        """The name of VMA ``index``; None in scheme none.

        Raises UsageError if there are too few different texts of this length.
        """
        match self.kind:
            case NamingKind.NONE:
                return None
            case NamingKind.DISTINCT:
                return _numbered(index, self.length)
            case NamingKind.SHARED | NamingKind.DISTINCT_SAME_TEXT:
                return b"n" * self.length

    def names(self, vmas: int) -> Iterator[bytes | None]:
        """The names of the first ``vmas`` VMAs; faster than ``name_of`` for each."""
        if self.kind is not NamingKind.DISTINCT:
            name = self.name_of(0)
            yield from itertools.repeat(name, vmas)
            return
        for first in range(0, vmas, len(_DIGITS)):
            # Only the first digit differs until the next carry.
            rest = _numbered(first, self.length)[1:]
            for digit in _FIRST_DIGITS[: vmas - first]:
                yield digit + rest

    def call_count(self, vmas: int) -> int:
        """The number of calls that name ``vmas`` VMAs."""
        match self.kind:
            case NamingKind.NONE:
                return 0
            case NamingKind.SHARED:
                return 1
            case NamingKind.DISTINCT | NamingKind.DISTINCT_SAME_TEXT:
                return vmas


def naming_from_label(label: str) -> NamingScheme:
    """Parse a scheme as users write it. Raises UsageError, which shows the forms."""
    kind, colon, length = label.partition(":")
    try:
        if kind == NamingKind.NONE.value and not colon:
            return NamingScheme(NamingKind.NONE)
        if not length.isascii() or not length.isdigit():
            raise ValueError
        return NamingScheme(NamingKind(kind), int(length))
    except ValueError:
        raise UsageError(
            f"{label[:60]!r} is not a naming scheme; expected none, shared:LENGTH, "
            "distinct:LENGTH or distinct-same-text:LENGTH, such as distinct:79"
        ) from None


def check_schemes_differ(labels: Sequence[str]) -> None:
    """Raise UsageError if two labels mean the same scheme, such as 5 and 05 bytes."""
    seen: dict[NamingScheme, str] = {}
    for label in labels:
        scheme = naming_from_label(label)
        if scheme in seen:
            raise UsageError(
                f"naming has a value twice: {seen[scheme][:60]} and {label[:60]}"
            )
        seen[scheme] = label


def _numbered(index: int, length: int) -> bytes:
    # The number, then padding by a byte that is not a digit: two texts of one length
    # are never equal.
    number = bytearray()
    rest = index
    while True:
        rest, digit = divmod(rest, len(_DIGITS))
        number.append(_DIGITS[digit])
        if not rest:
            break
    if len(number) > length:
        raise UsageError(
            f"there are not enough different names of {length} bytes for VMA {index}; "
            "use longer names or distinct-same-text"
        )
    return bytes(number).ljust(length, b".")
