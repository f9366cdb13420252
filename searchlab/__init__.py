"""searchlab: find the best Keras network your data and budget allow, and an honest test score for it.

`result = searchlab.load("digits_cnn", "search.trials=9").run()`, then `result.best`, `.trials`, `.model()`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from searchlab.runner.door import Handle

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(study: str | Path, *overrides: str) -> Handle:
    """The study file (or shipped study) `study`, with overrides such as "search.trials=10".

    Raises:
        SpecErrors: All faults of the file together, each with its place.
    """
    from searchlab.runner.door import Handle  # here, so that `import searchlab` stays quick

    return Handle.load(study, *overrides)
