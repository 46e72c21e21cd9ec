"""The reference model: how the kernel names, splits and merges anonymous VMAs."""

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
