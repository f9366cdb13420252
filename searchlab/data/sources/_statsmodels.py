"""The series inside statsmodels, an optional library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from searchlab.errors import MissingExtra
from searchlab.lazy import lazy

if TYPE_CHECKING:
    import statsmodels.datasets as datasets
else:
    datasets = lazy("statsmodels.datasets")


def load(name: str) -> Any:
    """The data frame of the set `name`.

    Raises:
        MissingExtra: statsmodels is not installed.
    """
    try:
        return getattr(datasets, name).load_pandas().data
    except ImportError as error:
        raise MissingExtra.of("statsmodels", needed_for=f"the data source {name!r}") from error
