#!/usr/bin/python3 -S
"""The first that runs in a guest: starts init from bytecode, where it can be read.

Beside this file lie the modules of init and of the worker, twice: in ``bundle``, of
bytecode that the host's Python made (harness.targets.bundle), and as sources, which a
Python of another version compiles. Short, as it is compiled in every guest.
"""

import marshal
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER


class _Bundle:
    """Finds modules among those of a bundle, and runs their code."""

    def __init__(self, modules: dict[str, tuple[bool, bytes]]) -> None:
        self.modules = modules

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        if name not in self.modules:
            return None
        return ModuleSpec(name, self, is_package=self.modules[name][0])  # type: ignore[arg-type]

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, module: object) -> None:
        names = vars(module)
        exec(marshal.loads(self.modules[names["__name__"]][1]), names)


def use_bundle(here: str) -> None:
    """Have imports look into the bundle of a folder, or beside it, first."""
    with open(f"{here}/bundle", "rb") as file:
        found = file.read()
    if found.startswith(MAGIC_NUMBER):
        modules = marshal.loads(memoryview(found)[len(MAGIC_NUMBER) :])
        sys.meta_path.insert(0, _Bundle(modules))
    else:
        sys.path.append(here)


if __name__ == "__main__":
    folder = __file__.rpartition("/")[0]
    use_bundle(folder)
    __import__("guest_init").main(folder)
