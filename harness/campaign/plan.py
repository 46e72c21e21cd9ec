"""Plans: what a campaign varies, and the seeded order in which its cells run."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from harness.errors import UsageError
from harness.kbuild import check_base, read_table, variant_named
from harness.worker.measure import PlannedCell
from harness.workload import (
    Cell,
    NamingKind,
    Store,
    all_cells,
    check_schemes_differ,
    interleaved,
)

# The published experiment had 65 536 VMAs; smaller processes are measured too.
DEFAULT_VMAS = (1_000, 4_000, 16_000, 65_536)
MOST_VMAS = 2**24
# An address has 47 bits, 12 of which are the offset in a page.
_MOST_PAGES = 2**35
_MOST_CELLS = 10**6
_PRESETS = Path(__file__).parent / "presets"
# Names of 63 bytes, as in the published experiment, and of 79, today's limit.
DEFAULT_NAMING = ("distinct:63", "distinct:79")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A campaign as data. The unnamed arm is always measured: it is the baseline.

    Each kernel gets ``boots`` guests; the running kernel gets as many workers. Each
    boot runs ``blocks`` rounds over all cells, each round in an order of its own.
    Each cell is one process that forks ``warmups`` + ``repetitions`` times.
    ``pages`` is how many pages of each VMA are written, ``vma_pages`` the least size
    of a VMA in pages. ``bases`` are measured one after the other, each with every
    variant. A difference below ``margin`` percent counts as none; the margin is
    chosen before measuring.

    Raises UsageError for a plan that cannot be run.
    """

    variants: tuple[str, ...] = ("switch",)
    bases: tuple[str, ...] = ("6.12",)
    vmas: tuple[int, ...] = DEFAULT_VMAS
    pages: tuple[int, ...] = (0,)
    vma_pages: int = 1
    naming: tuple[str, ...] = DEFAULT_NAMING
    boots: int = 4
    blocks: int = 1
    warmups: int = 1
    repetitions: int = 4
    seed: int = 1
    margin: float = 2.0

    def __post_init__(self) -> None:
        for name in ("variants", "bases", "vmas", "pages", "naming"):
            values = getattr(self, name)
            if not values:
                raise UsageError(f"{name} is empty; give at least one")
            if len(set(values)) != len(values):
                raise UsageError(f"{name} has a value twice: {values!r:.200}")
        check_schemes_differ(self.naming)
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            # Written so that NaN is refused: it is in no range.
            if not least <= value <= most:
                limit = f"at most {most}" if value > most else f"at least {least}"
                raise UsageError(f"{name} must be {limit}, not {_shown(value)}")
        if max(self.vmas) > MOST_VMAS:
            raise UsageError(
                f"vmas must be at most {MOST_VMAS}, not {_shown(max(self.vmas))}: "
                "no guest has enough memory for more"
            )
        if max(*self.pages, self.vma_pages) * max(self.vmas) > _MOST_PAGES:
            raise UsageError(
                f"{_shown(max(*self.pages, self.vma_pages))} pages in each VMA do not "
                "fit in an address space"
            )
        # Count the cells before making them: a file may ask for any number.
        kinds = len(self.vmas) * len(self.pages) * (2 * len(self.naming) + 2)
        kernels = len(self.variants) * len(self.bases)
        cells = kinds * self.blocks * self.boots * kernels
        if cells > _MOST_CELLS:
            raise UsageError(
                f"a campaign has at most {_MOST_CELLS} processes, but this one would "
                f"have up to {_shown(cells)}; give fewer boots, blocks or values"
            )
        for base in self.bases:
            check_base(base)
        for variant in self.variants:
            self.cells(variant_named(variant).stores)

    @property
    def names(self) -> bool:
        """Whether any cell is named."""
        return any(label != NamingKind.NONE.value for label in self.naming)

    def cells(self, stores: Sequence[Store]) -> list[Cell]:
        """Every cell of a kernel with these stores, in no particular order.

        Raises UsageError for a naming scheme with fewer names than VMAs.
        """
        return all_cells(self.vmas, self.pages, self.naming, stores, self.vma_pages)

    def boots_in_order(self, kernels: Sequence[str]) -> list[tuple[int, str]]:
        """(number, kernel) of every boot; each round boots each kernel once."""
        chooser = random.Random(f"{self.seed} boots")
        order: list[str] = []
        for _ in range(self.boots):
            order += chooser.sample(kernels, len(kernels))
        return list(enumerate(order))

    def cells_of_boot(
        self, boot: int, stores: Sequence[Store]
    ) -> tuple[PlannedCell, ...]:
        """The cells of one boot in the order in which they run, block after block."""
        order = interleaved(
            self.cells(stores), blocks=self.blocks, seed=f"{self.seed} boot {boot}"
        )
        return tuple(PlannedCell(block=block, cell=cell) for block, cell in order)


_MANY = 10**9
_LIMITS = {
    "boots": (1, _MANY), "blocks": (1, _MANY), "warmups": (0, _MANY),
    "repetitions": (1, _MANY), "seed": (0, 2**63 - 1), "vma_pages": (1, _MANY),
    "margin": (0.0, 1e9),
}  # fmt: skip


def _shown(value: float) -> str:
    # Python refuses to convert an int of some thousand digits to text.
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    return repr(value)


def preset_names() -> list[str]:
    """The campaigns that come with the package, sorted."""
    return sorted(path.stem for path in _PRESETS.glob("*.toml"))


def read_preset(name: str) -> dict[str, object]:
    """The fields of a plan that a preset sets.

    Raises UsageError, with the known names, for an unknown preset.
    """
    if name not in preset_names():
        known = ", ".join(preset_names())
        raise UsageError(f"no preset is called {name!r}; known: {known}")
    return read_plan(_PRESETS / f"{name}.toml")


def read_plan(path: Path) -> dict[str, object]:
    """The fields of a plan that a TOML file sets; ``base`` stands for one of ``bases``.

    Raises UsageError for an unknown key or a value of another type.
    """
    table = dict(read_table(path))
    if "base" in table:
        if "bases" in table:
            raise UsageError(f"{path}: give base or bases, not both")
        table["bases"] = [_value(f"{path}: base", table.pop("base"), str)]
    defaults = {field.name: field.default for field in fields(Plan)}
    plan: dict[str, object] = {}
    for key, value in table.items():
        if key not in defaults:
            known = ", ".join(sorted(defaults))
            raise UsageError(f"{path}: unknown key {key[:100]!r}; known: {known}")
        wanted = defaults[key]
        if isinstance(wanted, tuple):
            plan[key] = _values(f"{path}: {key}", value, type(wanted[0]))
        else:
            plan[key] = _value(f"{path}: {key}", value, type(wanted))
    return plan


_CALLED = {int: "whole number", float: "number", str: "string"}
# A float can represent every integer up to this exactly.
_EXACT = 2**53


def _value(what: str, value: object, kind: type) -> object:
    if kind is float and type(value) is int:
        # A larger one stays an int, so that Plan refuses it with its exact value.
        return float(value) if abs(value) <= _EXACT else value
    # Compare the exact type: in Python a boolean is an int, but a plan never means one.
    if type(value) is not kind:
        raise UsageError(f"{what} should be a {_CALLED[kind]}, not {_cut(value)}")
    return value


def _values(what: str, value: object, kind: type) -> tuple[object, ...]:
    if not isinstance(value, list) or any(type(item) is not kind for item in value):
        raise UsageError(
            f"{what} should be a list of {_CALLED[kind]}s, not {_cut(value)}"
        )
    return tuple(value)


def _cut(value: object) -> str:
    try:
        return repr(value)[:100]
    except ValueError:
        return "a number of thousands of digits"
