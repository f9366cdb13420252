"""A smaller training part, drawn by the split's seed: what can be learned from so many examples?

Why as many of each class, and not the classes' shares: with 50 examples a rare class would have one or none.  What is
drawn for a smaller number is among what is drawn for a larger one, so that learning curves compare.
"""

from __future__ import annotations

import numpy as np

from searchlab.data import Array
from searchlab.data.parts import is_labels
from searchlab.errors import DataError
from searchlab.seeds import stream


def fewer(rows: Array, y: Array, count: int, seed: int) -> Array:
    """`count` of the training `rows`, ascending: of each class as many as of the others while it has some.

    `y` are the targets of all examples; quantities are drawn without regard to their values.

    Raises:
        DataError: There are fewer rows, or more classes than `count`.
    """
    if count > len(rows):
        raise DataError(
            f"`train_examples: {count}` asks for more than the {len(rows)} examples of the training part; "
            f"give {len(rows)} or less, or smaller shares of validation and test."
        )
    order = stream(seed, "split", "fewer").permutation(len(rows))
    if is_labels(y):
        names, members = np.unique(y[rows], return_inverse=True)
        if count < len(names):
            raise DataError(
                f"`train_examples: {count}` leaves some of the {len(names)} classes without an example; "
                f"give {len(names)} or more."
            )
        order = order[np.argsort(_turns(members[order]), kind="stable")]
    return np.sort(rows[order[:count]])


def _turns(members: Array) -> Array:
    """For each example, how many of its own class come before it."""
    turns = np.empty(len(members), dtype=np.int64)
    for number in range(int(members.max()) + 1):
        own = members == number
        turns[own] = np.arange(own.sum())
    return turns
