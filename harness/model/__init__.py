"""The reference model: what the kernel promises about anonymous names."""

from harness.model.behaviour import OF_BASES, Behaviour
from harness.model.names import AnonName, NameStore, RefcountedStore, StrdupStore
from harness.model.process import SHOWN_FILES, Model, Shown

__all__ = [
    "OF_BASES",
    "SHOWN_FILES",
    "AnonName",
    "Behaviour",
    "Model",
    "NameStore",
    "RefcountedStore",
    "Shown",
    "StrdupStore",
]
