"""Each example for itself, by chance: for real-valued targets and independent examples."""

from __future__ import annotations

import numpy as np

from searchlab.data import Array, Examples
from searchlab.data.parts import check_apart, check_shares
from searchlab.errors import DataError
from searchlab.seeds import stream


class Random:
    """The rule `by: random`."""

    def part(
        self, examples: Examples, *, validation: float, test: float, seed: int, embargo: int
    ) -> tuple[Array, Array, Array]:
        """See `Split`; the sizes are the shares rounded, at least one each."""
        check_apart(examples, "random")
        check_shares(validation, test)
        train, held, sealed = draw(len(examples), (validation, test), stream(seed, "split", "random"))
        return train, held, sealed


def draw(n: int, shares: tuple[float, ...], generator: np.random.Generator) -> tuple[Array, ...]:
    """Rows 0…n-1 in `1 + len(shares)` parts, the first of which gets what the shares leave.

    Raises:
        DataError: Fewer rows than parts.
    """
    if n <= len(shares):
        raise DataError(f"{n} examples cannot be split in {len(shares) + 1} parts; give at least {len(shares) + 1}.")
    sizes = [max(1, round(n * share)) for share in shares]
    while sum(sizes) >= n:
        sizes[sizes.index(max(sizes))] -= 1
    ends = np.cumsum([n - sum(sizes), *sizes])
    order = generator.permutation(n)
    return tuple(np.sort(piece) for piece in np.split(order, ends[:-1]))


SPLIT = Random()
