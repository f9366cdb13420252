"""A catalog of plugins in which the file's name is the plugin's name.

    FAMILIES = Catalog("searchlab.models.families", binds="FAMILY", kind="model family")
    FAMILIES.names()       -> ("cnn", "mlp", "rnn")          without importing any of them
    FAMILIES.get("cnn")    -> what `searchlab/models/families/cnn.py` binds to FAMILY

Packages of others join through the entry-point group `searchlab.models.families`: `name = "their_package.module"`,
a module that binds the same name.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar, cast

from searchlab.errors import Mark, UnknownName

T = TypeVar("T")


@cache
def _entries(group: str, path: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The entry points of a group; a look through all that is installed takes 20 ms, so once for each `sys.path`."""
    return tuple((point.name, point.value) for point in entry_points(group=group))


@dataclass(frozen=True)
class Catalog(Generic[T]):
    """All plugins of one kind: the public modules of `package`, each of which binds `binds`."""

    package: str
    binds: str
    kind: str

    def names(self) -> tuple[str, ...]:
        """Every name, sorted; nothing is imported."""
        return tuple(sorted(self._modules()))

    def get(self, name: str, mark: Mark | None = None) -> T:
        """What the module called `name` binds.

        Raises:
            UnknownName: No such module; the message holds `mark` and the nearest names.
        """
        modules = self._modules()
        if name not in modules:
            raise UnknownName.among(self.names(), kind=self.kind, name=name, mark=mark)
        return cast(T, getattr(importlib.import_module(modules[name]), self.binds))

    def summary(self, name: str) -> str:
        """The first line of the module's docstring, read from its source without importing it."""
        spec = importlib.util.find_spec(self._modules()[name])
        if spec is None or spec.origin is None:
            return ""
        docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
        return docstring.partition("\n")[0]

    def _modules(self) -> dict[str, str]:
        package = importlib.import_module(self.package)
        found = dict(_entries(self.package, tuple(sys.path)))
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                found[module.name] = f"{self.package}.{module.name}"
        return found
