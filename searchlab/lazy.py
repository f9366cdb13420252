"""Heavy libraries that load when first used, so that plugin files can be read (their `Options`) without them.

    if TYPE_CHECKING:
        import keras
    else:
        keras = lazy("keras")

Why not an import inside each function: the door would then be named in a dozen places of a file, and the type
checker would not see it.  Why not `importlib.util.LazyLoader`: it replaces the module for everybody else too.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any


class _Lazy(ModuleType):
    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self.__name__), attribute)


def lazy(name: str) -> ModuleType:
    """A stand-in for the module `name` that imports it at the first look at an attribute."""
    return _Lazy(name)


_alone = False


def alone() -> None:
    """Say that this process is ours: the command line or a child, not somebody's notebook or script."""
    global _alone
    _alone = True


@contextlib.contextmanager
def absent(name: str) -> Iterator[None]:
    """While inside, the library `name` counts as not installed; only in a process that is ours `alone`.

    For libraries that import a heavy one just to offer something that we never use: scikit-learn, with SciPy and
    pandas behind it, costs a second in each process.  What is imported inside goes without `name` for good, hence the
    condition; no other thread may import it meanwhile; and where it is loaded already, nothing is hidden.
    """
    if not _alone or name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # what the import system takes for "not there"
    try:
        yield
    finally:
        del sys.modules[name]
