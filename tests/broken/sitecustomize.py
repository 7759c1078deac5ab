"""Breaks the service on purpose, from outside: Python runs this file at start when its directory is on PYTHONPATH.

`BROKEN_VARIANT` names a module of `variants`, which says what to change in which module of the service. A module is
changed right after it was imported, because importing it earlier would change the order in which everything else is.
"""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

Break = Callable[[ModuleType], None]


class Breaker(MetaPathFinder):
    """Finds the modules that are to be broken, before anybody else does."""

    def __init__(self, breaks: dict[str, Break]) -> None:
        self._breaks = breaks

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        broken = self._breaks.pop(fullname, None)
        spec = find_spec(fullname) if broken else None
        if broken and spec and spec.loader:
            spec.loader = BreakingLoader(spec.loader, broken)
        return spec


class BreakingLoader(Loader):
    """Loads a module as ever, and then breaks it."""

    def __init__(self, loader: Loader, broken: Break) -> None:
        self._loader = loader
        self._broken = broken

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._broken(module)


def main() -> None:
    name = os.environ.get("BROKEN_VARIANT")
    if name:
        variant = importlib.import_module(f"variants.{name}")
        sys.meta_path.insert(0, Breaker(dict(variant.BREAKS)))


main()
