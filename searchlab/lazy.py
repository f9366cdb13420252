"""Heavy libraries that load when first used, so that plugin files can be read (their `Options`) without them.

    if TYPE_CHECKING:
        import keras
    else:
        keras = lazy("keras")

Why not an import inside each function: the door would then be named in a dozen places of a file, and the type
checker would not see it.  Why not `importlib.util.LazyLoader`: it replaces the module for everybody else too.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class _Lazy(ModuleType):
    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self.__name__), attribute)


def lazy(name: str) -> ModuleType:
    """A stand-in for the module `name` that imports it at the first look at an attribute."""
    return _Lazy(name)
