"""What training images may go through before a model sees them: the group `augment:` of a search space.

Every option is off by default, and is drawn anew each time an image is seen.  `models/augmentation.py` has the layers
of those that change an image alone; those that mix two images and their targets belong to the feed
(`training/mixing.py`), and come before the layers.
"""

from __future__ import annotations

from typing import Literal

from searchlab import options
from searchlab.options import shape
from searchlab.tasks import Problem

MIXED = ("mixup", "cutmix")
"""The options that mix two examples with their targets; all others change an image alone.  Only `fit` has these."""

COLOURS = (1, 3)
"""Channels of the images that RandAugment can take."""


class AugmentOptions(options.Options):
    """The group `augment:` of a search space: how training images are changed at random."""

    flip: Literal["none", "horizontal", "vertical", "both"] = shape("none")
    """Mirror every second image: left and right, top and bottom, or each of both."""
    crop: float = shape(0.0, ge=0.0, le=0.9)
    """Share of each side that is cut off somewhere, once a batch; what is left is stretched to the old size."""
    rotation: float = shape(0.0, ge=0.0, le=0.5)
    """Longest turn either way, as a share of a full one."""
    translation: float = shape(0.0, ge=0.0, le=0.9)
    """Longest shift in each direction, as a share of the side."""
    zoom: float = shape(0.0, ge=0.0, le=0.9)
    """By how much an image shrinks or grows at most."""
    contrast: float = shape(0.0, ge=0.0, le=1.0)
    """By how much contrast is weakened or strengthened at most."""
    rand_augment: float = shape(0.0, ge=0.0, le=1.0)
    """Strength of two operations that are drawn from eleven for each batch (Cubuk et al. 2019, arXiv:1909.13719)."""
    mixup: float = shape(0.0, ge=0.0, le=100.0)
    """Images and targets are averaged in pairs, with shares from Beta(a, a) for this a (arXiv:1710.09412)."""
    cutmix: float = shape(0.0, ge=0.0, le=100.0)
    """A box of each image comes from another one, its area from Beta(a, a) for this a (arXiv:1905.04899).

    Beside `mixup`, each batch is mixed in one of both ways."""

    @property
    def on(self) -> tuple[str, ...]:
        """The names of all options that do something."""
        return tuple(name for name, info in type(self).model_fields.items() if getattr(self, name) != info.default)

    @property
    def layers(self) -> tuple[str, ...]:
        """Those that change an image alone."""
        return tuple(name for name in self.on if name not in MIXED)

    @property
    def mixes(self) -> bool:
        """Whether examples are mixed."""
        return any(name in MIXED for name in self.on)


def infeasible(problem: Problem, options: AugmentOptions) -> str | None:
    """Why examples of `problem` cannot be changed so; None when they can."""
    if options.on and problem.pixels is None:
        return f"{options.on[0]} changes images, and the inputs are of kind {problem.kind!r}, not 'image'."
    if options.rand_augment and problem.input_shape[-1] not in COLOURS:
        return f"rand_augment takes images of 1 or 3 channels, and these have {problem.input_shape[-1]}."
    return None
