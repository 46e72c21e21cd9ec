#!/usr/bin/python3 -S
"""The first program in a guest: starts init from the host's bytecode if possible.

The modules of init and of the worker lie beside this file twice: as bytecode of the
host's Python in the file ``bundle`` (see harness.targets.bundle), and as sources for a
guest whose Python has another version. This file is short because every guest
compiles it.
"""

import marshal
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER


class _Bundle:
    """Imports modules from a bundle of bytecode."""

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


def use_bundle(bundle: str, sources: str) -> None:
    """Import from a bundle; if its bytecode does not fit, from a folder of sources.

    The bundle comes before sys.path, the sources come after it.
    """
    with open(bundle, "rb") as file:
        found = file.read()
    if found.startswith(MAGIC_NUMBER):
        modules = marshal.loads(memoryview(found)[len(MAGIC_NUMBER) :])
        sys.meta_path.insert(0, _Bundle(modules))
    else:
        sys.path.append(sources)


if __name__ == "__main__":
    folder = __file__.rpartition("/")[0]
    use_bundle(f"{folder}/bundle", folder)
    __import__("guest_init").main(folder)
