"""Training images mixed in pairs together with their targets: mixup and CutMix, batch by batch.

Mixup (Zhang et al. 2018, arXiv:1710.09412) averages two images; CutMix (Yun et al. 2019, arXiv:1905.04899) puts a box
of one into the other.  As in both papers, a batch has one share and one box, and partners are of one batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from searchlab.data import Array
from searchlab.seeds import stream
from searchlab.tasks import Classifier, Task


@dataclass(frozen=True)
class Mixing:
    """How the batches of one trial are mixed; every batch by draws of its own."""

    task: Task
    mixup: float
    """The a of Beta(a, a), or 0."""
    cutmix: float
    """The a of Beta(a, a), or 0; with both above 0, each batch is mixed in one way."""
    seed: int

    def mixed(self, x: Array, y: Array, *, epoch: int, batch: int) -> tuple[Array, Array]:
        """The images (b, height, width, channels) of a batch and their targets, mixed; both are new arrays."""
        assert isinstance(self.task, Classifier), "refused before"
        draws = stream(self.seed, "mix", epoch, batch)
        partner = draws.permutation(len(x))
        if self.cutmix and not (self.mixup and draws.random() < 0.5):
            images, share = _cut(x, x[partner], float(draws.beta(self.cutmix, self.cutmix)), draws)
        else:
            share = float(draws.beta(self.mixup, self.mixup))
            images = (np.float32(share) * x + np.float32(1.0 - share) * x[partner]).astype(x.dtype)
        return images, self.task.mixed(y, y[partner], share)


def _cut(x: Array, other: Array, share: float, draws: np.random.Generator) -> tuple[Array, float]:
    """`x` with a box from `other` around any pixel, and the share of `x` that is left: more where an edge cuts it."""
    height, width = x.shape[1:3]
    side = math.sqrt(1.0 - share)
    top, bottom = _reach(side, height, draws)
    left, right = _reach(side, width, draws)
    images = x.copy()
    images[:, top:bottom, left:right] = other[:, top:bottom, left:right]
    return images, 1.0 - (bottom - top) * (right - left) / (height * width)


def _reach(share: float, size: int, draws: np.random.Generator) -> tuple[int, int]:
    """Where a stretch of `share` of `size` pixels begins and ends, its middle anywhere."""
    middle, half = int(draws.integers(size)), share * size / 2.0
    return max(0, round(middle - half)), min(size, round(middle + half))
