"""By chance within each class: every part has the same share of every class, as near as whole examples allow."""

from __future__ import annotations

import numpy as np

from searchlab.data import Array, Examples
from searchlab.data.parts import check_apart, check_shares, is_labels
from searchlab.errors import DataError
from searchlab.seeds import stream


class Stratified:
    """The rule `by: stratified`."""

    def part(
        self, examples: Examples, *, validation: float, test: float, seed: int, embargo: int
    ) -> tuple[Array, Array, Array]:
        """See `Split`; every class has at least one example in each part."""
        check_apart(examples, "stratified")
        check_shares(validation, test)
        if not is_labels(examples.y):
            raise DataError("`by: stratified` needs labels, but the targets are real numbers; use `by: random`.")
        train, held, sealed = draw(examples.y, (validation, test), stream(seed, "split", "stratified"))
        return train, held, sealed


def draw(labels: Array, shares: tuple[float, ...], generator: np.random.Generator) -> tuple[Array, ...]:
    """The rows of `labels` in `1 + len(shares)` parts, the first of which gets what the shares leave.

    Raises:
        DataError: A class has fewer examples than there are parts; the message counts them.
    """
    names, members = np.unique(labels, return_inverse=True)
    sizes = np.bincount(members)
    count = 1 + len(shares)
    if sizes.min() < count:
        rare = ", ".join(f"{names[i]} ({sizes[i]})" for i in np.flatnonzero(sizes < count)[:20])
        raise DataError(
            f"each class needs at least {count} examples, one for each part, but some have fewer: {rare}. "
            "Leave these classes out or gather more; `by: random` does not help, since a class would be missing."
        )
    quotas = np.stack([_quota(sizes, share) for share in shares])
    parts: list[list[Array]] = [[] for _ in range(count)]
    for number, quota in enumerate(quotas.T):
        while quota.sum() >= sizes[number]:
            quota[quota.argmax()] -= 1
        rows = generator.permutation(np.flatnonzero(members == number))
        for part, piece in zip(
            parts, np.split(rows, np.cumsum([sizes[number] - quota.sum(), *quota])[:-1]), strict=True
        ):
            part.append(piece)
    return tuple(np.sort(np.concatenate(part)) for part in parts)


def _quota(sizes: Array, share: float) -> Array:
    """Whole numbers near `sizes * share`, at least 1, whose sum is that of the shares (largest remainders)."""
    ideal = sizes * share
    quota = np.floor(ideal).astype(np.int64)
    missing = round(float(ideal.sum())) - int(quota.sum())
    quota[np.argsort(quota - ideal, kind="stable")[:missing]] += 1
    return np.maximum(quota, 1)


SPLIT = Stratified()
