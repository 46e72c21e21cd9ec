"""Plans: what a campaign varies, and the seeded order in which it is run."""

import random
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from harness.errors import UsageError
from harness.kbuild import base_names, variant_named
from harness.measure import PlannedCell
from harness.workload import (
    Cell,
    NamingKind,
    NamingScheme,
    Store,
    layout_of,
    naming_from_label,
)

# As the published experiment, and below it: names as long as then and as now.
DEFAULT_VMAS = (1_000, 4_000, 16_000, 65_536)
DEFAULT_NAMING = ("distinct:63", "distinct:79")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A campaign as data. The unnamed arm is always there: it is the baseline.

    ``boots`` guests of each variant; in each, ``blocks`` rounds over all cells
    in an order of their own; in each cell one process, which forks ``warmups``
    + ``repetitions`` times. ``pages`` is what is written in each VMA.

    Raises UsageError for what cannot be run.
    """

    variants: tuple[str, ...] = ("switch",)
    base: str = "6.12"
    vmas: tuple[int, ...] = DEFAULT_VMAS
    pages: tuple[int, ...] = (0,)
    naming: tuple[str, ...] = DEFAULT_NAMING
    boots: int = 4
    blocks: int = 1
    warmups: int = 1
    repetitions: int = 7
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("variants", "vmas", "pages", "naming"):
            values = getattr(self, name)
            if not values:
                raise UsageError(f"{name} is empty; give at least one")
            if len(set(values)) != len(values):
                raise UsageError(f"{name} has a value twice: {values!r}")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise UsageError(
                    f"{name} must be at least {least}, not {getattr(self, name)!r}"
                )
        if self.base not in base_names():
            known = ", ".join(base_names())
            raise UsageError(f"no base is called {self.base!r}; known: {known}")
        for variant in self.variants:
            self.cells(variant)

    def cells(self, variant: str) -> list[Cell]:
        """Every cell of a variant, in no particular order.

        Raises UsageError for a scheme that has too few names for its VMAs.
        """
        stores = variant_named(variant).stores
        schemes = [naming_from_label(label) for label in self.naming]
        cells = []
        for vmas in self.vmas:
            for pages in self.pages:
                layout = layout_of(vmas, pages)
                unnamed = NamingScheme(NamingKind.NONE)
                cells.append(Cell(store=stores[0], layout=layout, naming=unnamed))
                for naming in schemes:
                    naming.name_of(vmas - 1)
                    cells += [
                        Cell(store=store, layout=layout, naming=naming)
                        for store in stores
                        if naming.kind is not NamingKind.NONE
                        and store is not Store.ABSENT
                    ]
        return cells

    def boots_in_order(self) -> list[tuple[int, str]]:
        """(number, variant) of every boot; in each round each variant once."""
        chooser = random.Random(f"{self.seed} boots")
        order = []
        for _ in range(self.boots):
            order += chooser.sample(self.variants, len(self.variants))
        return list(enumerate(order))

    def cells_of_boot(self, boot: int, variant: str) -> tuple[PlannedCell, ...]:
        """The cells of one boot in the order they are run, block after block."""
        chooser = random.Random(f"{self.seed} boot {boot}")
        cells = self.cells(variant)
        return tuple(
            PlannedCell(block=block, cell=cell)
            for block in range(self.blocks)
            for cell in chooser.sample(cells, len(cells))
        )


_LEAST = {"boots": 1, "blocks": 1, "warmups": 0, "repetitions": 1, "seed": 0}


def read_plan(path: Path) -> dict[str, object]:
    """The fields of a plan that a TOML file gives.

    Raises UsageError for a key that no plan has or a value of another type.
    """
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read the plan {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    defaults = {field.name: field.default for field in fields(Plan)}
    plan: dict[str, object] = {}
    for key, value in table.items():
        if key not in defaults:
            known = ", ".join(sorted(defaults))
            raise UsageError(f"{path}: a plan has no {key!r}; it has {known}")
        wanted = defaults[key]
        if isinstance(wanted, tuple):
            item = type(wanted[0])
            if not isinstance(value, list) or any(type(v) is not item for v in value):
                raise UsageError(f"{path}: {key} should be a list of {item.__name__}")
            plan[key] = tuple(value)
        elif type(value) is not type(wanted):
            raise UsageError(f"{path}: {key} should be a {type(wanted).__name__}")
        else:
            plan[key] = value
    return plan
