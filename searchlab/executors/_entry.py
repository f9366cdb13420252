"""The name of the function that a child runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from searchlab.executors import Channel


def find(entry: str) -> Callable[[Channel, Mapping[str, Any]], object]:
    """The function that "package.module:function" names."""
    module, _, function = entry.partition(":")
    return cast(Callable[[Channel, Mapping[str, Any]], object], getattr(importlib.import_module(module), function))
