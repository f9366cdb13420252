"""An image backbone of KerasHub by its preset, such as `resnet_18_imagenet` or a folder; needs the extra `hub`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from searchlab.errors import DataError, MissingExtra
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
        """See `Backbone`; the preset's own image converter comes first."""
        try:
            network = hub.models.Backbone.from_preset(which)
            converter = hub.layers.ImageConverter.from_preset(which)
        except ImportError as error:
            raise MissingExtra.of("hub", needed_for=f"the backbone keras_hub:{which}") from error
        except Exception as error:
            first = str(error).partition("\n")[0]
            raise DataError(
                f"keras_hub:{which}: this preset cannot be loaded ({first}). Without a network, name a folder that "
                "`save_to_preset` has written where there is one."
            ) from error
        pixels = keras.Input((height, width, 3), name="pixels")
        return keras.Model(pixels, network(converter(pixels)), name="backbone")


BACKBONE: Backbone = KerasHub()
