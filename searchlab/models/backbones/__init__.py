"""Backbones: networks that were trained elsewhere, without their last layer; what the `transfer` family begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from searchlab.catalog import Catalog

if TYPE_CHECKING:
    import keras


class Backbone(Protocol):
    """A kind of pretrained network.  A file in `models/backbones/` binds one to `BACKBONE`."""

    weights: str | None
    """What `which` is where the study file names none, such as "imagenet"; None where it must."""
    takes_file: bool
    """Whether `which` is a file, unless it is "imagenet" or "none"."""
    smallest: int
    """The least height and width that it can take, in pixels."""
    blocks: str | None
    """A pattern whose first group names the block of a layer, in the layer's name.

    None: each layer with weights begins a block, normalizations aside.
    """

    def build(self, which: str, height: int, width: int) -> keras.Model:
        """Pixels (batch, height, width, channels), 0 to 255, to features; its own preprocessing is part of it.

        `which` names the weights: "imagenet", "none" (drawn by Keras's global seed), a file or a preset.  The model may
        ask for another size and for 1 or 3 channels: `input_shape` says so.

        Raises:
            MissingWeights: There are none here; the message says where they would be found or put.
        """


BACKBONES: Catalog[Backbone] = Catalog("searchlab.models.backbones", binds="BACKBONE", kind="backbone")
