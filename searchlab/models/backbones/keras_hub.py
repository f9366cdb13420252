"""An image backbone of KerasHub by its preset, such as `resnet_18_imagenet` or a folder; needs the extra `hub`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from searchlab.errors import MissingExtra, MissingWeights
from searchlab.lazy import lazy
from searchlab.models.backbones import Backbone

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

hub: Any = lazy("keras_hub")


class KerasHub:
    """Loads a preset: KerasHub's name of it, an address that KerasHub knows, or a folder."""

    weights: str | None = None
    takes_file: bool = False
    smallest: int = 1
    blocks: str | None = None

    def build(self, which: str, height: int, width: int) -> keras.Model:
        """See `Backbone`; images are resized and rescaled as the preset's image converter does, but for cropping.

        Why not the converter itself: like Keras's `Resizing`, it turns all layers after it to training.
        """
        try:
            network = hub.models.Backbone.from_preset(which)
            converter = hub.layers.ImageConverter.from_preset(which)
        except ImportError as error:
            raise MissingExtra.of("hub", needed_for=f"the backbone keras_hub:{which}") from error
        except Exception as error:
            first = str(error).partition("\n")[0]
            raise MissingWeights(
                f"keras_hub:{which}: this preset cannot be loaded ({first}). Without a network, name a folder that "
                "`save_to_preset` has written where there is one."
            ) from error
        pixels = x = keras.Input((height, width, 3), name="pixels")
        size = converter.image_size
        if size is not None and tuple(size) != (height, width):
            x = keras.ops.image.resize(x, tuple(size), interpolation=converter.interpolation)
        scale, offset = (1.0 if converter.scale is None else converter.scale), converter.offset
        x = keras.layers.Rescaling(scale, offset=0.0 if offset is None else offset, name="preprocess")(x)
        return keras.Model(pixels, network(x), name="backbone")


BACKBONE: Backbone = KerasHub()
