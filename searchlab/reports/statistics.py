"""How sure a score is: intervals, the noise of a validation set, and what choosing the best of many adds to it.

Wilson interval: Wilson 1927 (J. Am. Stat. Assoc. 22:209).  Percentile bootstrap: Efron 1979 (Ann. Statist. 7:1).
Winner's curse: the expected excess of the best of N equally good candidates with independent errors.  Real candidates
make correlated errors, so it is an upper guide, not an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from searchlab.data import Array
from searchlab.seeds import stream

Interval = tuple[float, float]


def wilson(successes: float, examples: int, *, confidence: float = 0.95) -> Interval:
    """The interval of a proportion; honest near 0 and 1 and for few examples.

    Raises:
        ValueError: No examples, or successes outside [0, examples].
    """
    if examples < 1 or not 0 <= successes <= examples:
        raise ValueError(f"{successes} of {examples} is not a proportion")
    z = _z(confidence)
    share = successes / examples
    spread = 1 + z * z / examples
    centre = (share + z * z / (2 * examples)) / spread
    half = z / spread * math.sqrt(share * (1 - share) / examples + z * z / (4 * examples * examples))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == examples else min(1.0, centre + half)
    return low, high


def bootstrap(
    per_example: Array,
    statistic: Callable[[Array], float] = lambda sample: float(np.mean(sample)),
    *,
    groups: Array | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """The percentile interval of `statistic` over `per_example` (n,); with `groups` (n,), whole groups are drawn.

    Examples of one group (one patient, one speaker) are alike; drawing them one by one would make the interval too
    narrow.  With a single group nothing can be said, and the interval is the whole line.
    """
    values = np.asarray(per_example)
    if len(values) == 0:
        raise ValueError("no examples to resample")
    rng = stream(seed, "bootstrap")
    if groups is None:
        rows = [rng.integers(0, len(values), len(values)) for _ in range(resamples)]
    else:
        _, member_of = np.unique(np.asarray(groups), return_inverse=True)
        members = np.split(np.argsort(member_of, kind="stable"), np.cumsum(np.bincount(member_of))[:-1])
        if len(members) == 1:
            return -math.inf, math.inf
        draws = (rng.integers(0, len(members), len(members)) for _ in range(resamples))
        rows = [np.concatenate([members[group] for group in draw]) for draw in draws]
    statistics = [statistic(values[sample]) for sample in rows]
    tail = (1 - confidence) / 2
    low, high = np.quantile(statistics, [tail, 1 - tail])
    return float(low), float(high)


def chance_interval(chance: float, examples: int, *, confidence: float = 0.99) -> Interval:
    """Where the accuracy of pure guessing falls (exact binomial), `chance` being the share a guess gets right."""
    below = _binomial_cdf(chance, examples)
    tail = (1 - confidence) / 2
    low = int(np.searchsorted(below, tail))
    high = int(np.searchsorted(below, 1 - tail))
    return low / examples, min(high, examples) / examples


def winners_curse(candidates: int, examples: int, *, accuracy: float | None = None, sd: float | None = None) -> float:
    """By how much the best of `candidates` validation scores is expected to exceed its true value; never negative.

    `accuracy` in [0, 1] is the true accuracy of all candidates (then errors are binomial); for any other metric give
    `sd`, the standard deviation of the metric over single examples.  The sign is the caller's: a best loss is this
    much too low.

    Raises:
        ValueError: Neither or both of `accuracy` and `sd`.
    """
    if (accuracy is None) == (sd is None):
        raise ValueError("give either accuracy or sd")
    if candidates < 2 or examples < 1:
        return 0.0
    if accuracy is not None:
        below = _binomial_cdf(accuracy, examples)
        expected_best = float(np.sum(1 - below[:-1] ** candidates)) / examples
        return max(0.0, expected_best - accuracy)
    assert sd is not None
    return expected_maximum(candidates) * sd / math.sqrt(examples)


def shrunk(share: float, examples: int) -> float:
    """A cautious guess of the true share behind an observed one (Agresti & Coull 1998): 100 % of 50 reads 96 %."""
    return (share * examples + 2) / (examples + 4)


def noise_band(examples: int, *, accuracy: float | None = None, sd: float | None = None) -> float:
    """Half the 95 % width of one validation score: two scores nearer than this are not told apart.

    Raises:
        ValueError: Neither or both of `accuracy` and `sd`.
    """
    if (accuracy is None) == (sd is None):
        raise ValueError("give either accuracy or sd")
    if accuracy is not None:
        guess = shrunk(accuracy, examples)
        sd = math.sqrt(guess * (1 - guess))
    assert sd is not None
    return _z(0.95) * sd / math.sqrt(examples)


def expected_maximum(count: int) -> float:
    """The expected largest of `count` independent standard normal numbers (0 for one, 1.54 for ten)."""
    grid = np.linspace(-10.0, 10.0, 20_001)
    cdf = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in grid])
    positive = grid >= 0
    step = grid[1] - grid[0]
    # E[max] = ∫₀^∞ (1 − Fⁿ) dx − ∫_{−∞}^0 Fⁿ dx
    above = np.trapezoid(1 - cdf[positive] ** count, dx=step)
    below = np.trapezoid(cdf[grid <= 0] ** count, dx=step)
    return float(above - below)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _binomial_cdf(share: float, examples: int) -> Array:
    """(examples + 1,) chances of at most k successes; the last is 1."""
    if share <= 0 or share >= 1:
        return np.where(np.arange(examples + 1) >= share * examples, 1.0, 0.0)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, examples + 1)))])
    successes = np.arange(examples + 1)
    log_chance = (
        log_factorial[-1]
        - log_factorial
        - log_factorial[::-1]
        + successes * math.log(share)
        + (examples - successes) * math.log1p(-share)
    )
    cdf: Array = np.minimum(1.0, np.cumsum(np.exp(log_chance)))
    cdf[-1] = 1.0
    return cdf
