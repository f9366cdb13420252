"""The tables inside scikit-learn, as they were published (no scaling, no network)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from searchlab.data import Collection, Examples
from searchlab.lazy import lazy

if TYPE_CHECKING:
    from sklearn import datasets
else:
    datasets = lazy("sklearn.datasets")


def classes(name: str, description: str) -> Collection:
    """The table with labels that scikit-learn loads as `load_<name>`."""
    bunch: Any = getattr(datasets, f"load_{name}")()
    labels = np.asarray(bunch.target_names, dtype=str)[bunch.target]
    examples = Examples(x=np.asarray(bunch.data, dtype=np.float64), y=labels)
    return Collection(examples, "table", description, columns=tuple(map(str, bunch.feature_names)))


def quantities(name: str, description: str, **settings: Any) -> Collection:
    """The table with real targets that scikit-learn loads as `load_<name>`."""
    bunch: Any = getattr(datasets, f"load_{name}")(**settings)
    examples = Examples(x=np.asarray(bunch.data, dtype=np.float64), y=np.asarray(bunch.target, dtype=np.float64))
    return Collection(examples, "table", description, columns=tuple(map(str, bunch.feature_names)))
