"""Train on the past, choose on what follows, test on the latest: no moment is looked at from two parts."""

from __future__ import annotations

import numpy as np

from searchlab.data import Array, Examples
from searchlab.data.parts import check_apart, check_shares
from searchlab.errors import DataError


class Time:
    """The rule `by: time`."""

    def part(
        self, examples: Examples, *, validation: float, test: float, seed: int, embargo: int
    ) -> tuple[Array, Array, Array]:
        """See `Split`.

        Between the last moment of one part and the first of the next lie at least `embargo` moments that no example of
        either looks at.  Examples that would reach across belong to no part.
        """
        check_apart(examples, "time")
        check_shares(validation, test)
        if examples.span is None:
            raise DataError("`by: time` needs moments, but the data has none: name a time column or use windows.")
        train, held, sealed = cut(examples.span, len(examples), (validation, test), embargo)
        return train, held, sealed


def cut(span: Array, n: int, shares: tuple[float, ...], embargo: int) -> tuple[Array, ...]:
    """The rows of `1 + len(shares)` parts in the order of time; each share is one of `n` examples.

    Raises:
        DataError: Nothing is left for a part; the message has the counts.
    """
    if embargo < 0:
        raise DataError(f"embargo must be 0 or more steps, not {embargo}.")
    left = np.arange(len(span))
    later: list[Array] = []
    for share in reversed(shares):
        starts = np.sort(span[left, 0])
        border = starts[-min(len(starts), max(1, round(n * share)))]
        later.insert(0, left[span[left, 0] >= border])
        left = left[span[left, 1] + embargo < border]
        if not len(left):
            raise DataError(
                f"{n} examples from moment {span[:, 0].min()} to {span[:, 1].max()}, each up to {_longest(span)} long, "
                f"leave nothing before moment {border} with an embargo of {embargo}. "
                "Use shorter windows, smaller shares, less embargo or a longer series."
            )
    return (left, *later)


def _longest(span: Array) -> int:
    return int((span[:, 1] - span[:, 0]).max()) + 1


SPLIT = Time()
