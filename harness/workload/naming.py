"""Naming schemes: which names the VMAs of a layout are given, and in how many calls.

What one prctl() names shares one struct anon_vma_name (since 5.17), what is
named by a call of its own has a struct of its own. The two cost differently at
fork, so the scheme says which it is, and the text is a second choice.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from harness.errors import UsageError

# ANON_VMA_NAME_MAX_LEN without its NUL byte
MAX_NAME = 79

# Valid in a name and plain in every file, shell and report.
_DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST_DIGITS = tuple(bytes((digit,)) for digit in _DIGITS)


class NamingKind(Enum):
    """How the VMAs of a layout come by their names."""

    NONE = "none"
    SHARED = "shared"
    DISTINCT = "distinct"
    DISTINCT_SAME_TEXT = "distinct-same-text"


@dataclass(frozen=True, slots=True)
class NamingScheme:
    """A kind, and the length of the names in bytes (0 when there are none).

    shared: one call names all VMAs, which share one struct.
    distinct: a call, a struct and a text for each VMA.
    distinct-same-text: a call and a struct for each VMA, all of one text.

    Raises UsageError for a length that the kernel refuses.
    """

    kind: NamingKind
    length: int = 0

    def __post_init__(self) -> None:
        if self.kind is NamingKind.NONE:
            if self.length:
                raise UsageError("naming 'none' has no length")
        elif not 0 <= self.length <= MAX_NAME:
            raise UsageError(
                f"a name is 0 to {MAX_NAME} bytes long, not {self.length!r}"
            )

    @property
    def label(self) -> str:
        """The scheme as users write it: ``none``, ``distinct:79``."""
        if self.kind is NamingKind.NONE:
            return "none"
        return f"{self.kind.value}:{self.length}"

    def name_of(self, index: int) -> bytes | None:
        """The name of VMA ``index``; None in scheme none.

        Raises UsageError when the length has no room for that many texts.
        """
        match self.kind:
            case NamingKind.NONE:
                return None
            case NamingKind.DISTINCT:
                return _numbered(index, self.length)
            case NamingKind.SHARED | NamingKind.DISTINCT_SAME_TEXT:
                return b"n" * self.length

    def names(self, vmas: int) -> Iterator[bytes | None]:
        """The names of the first ``vmas`` VMAs, as ``name_of`` has them, sooner."""
        if self.kind is not NamingKind.DISTINCT:
            name = self.name_of(0)
            yield from itertools.repeat(name, vmas)
            return
        for first in range(0, vmas, len(_DIGITS)):
            # Up to the next carry, only the first digit differs.
            rest = _numbered(first, self.length)[1:]
            for digit in _FIRST_DIGITS[: vmas - first]:
                yield digit + rest

    def call_count(self, vmas: int) -> int:
        """How many calls name that many VMAs."""
        match self.kind:
            case NamingKind.NONE:
                return 0
            case NamingKind.SHARED:
                return 1
            case NamingKind.DISTINCT | NamingKind.DISTINCT_SAME_TEXT:
                return vmas


def naming_from_label(label: str) -> NamingScheme:
    """The scheme that a user wrote; UsageError says how it is written."""
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
    """Assert that no scheme is there twice, however it is written; UsageError."""
    seen: dict[NamingScheme, str] = {}
    for label in labels:
        scheme = naming_from_label(label)
        if scheme in seen:
            raise UsageError(
                f"naming has a value twice: {seen[scheme][:60]} and {label[:60]}"
            )
        seen[scheme] = label


def _numbered(index: int, length: int) -> bytes:
    # The number first, in as many digits as it has, then a byte that is no
    # digit: no two texts of one length are equal.
    number = bytearray()
    rest = index
    while True:
        rest, digit = divmod(rest, len(_DIGITS))
        number.append(_DIGITS[digit])
        if not rest:
            break
    if len(number) > length:
        raise UsageError(
            f"names of {length} bytes are too short to tell VMA {index} from the rest; "
            "use longer ones, or distinct-same-text"
        )
    return bytes(number).ljust(length, b".")
