"""A network of `keras.applications` as a backbone: built for any size, weights loaded, preprocessing in front."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchlab.errors import DataError, MissingWeights
from searchlab.lazy import lazy
from searchlab.models import archive

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

CHANNELS = 3

ADDRESS = re.compile(r"https?://\S+?\.(?:h5|keras)")


@dataclass
class Application:
    """A `Backbone` by the name of its function in `keras.applications`."""

    function: str
    blocks: str | None
    preprocess: Callable[[], Sequence[Any]] = tuple
    """Layers that bring pixels from 0…255 to what the network was trained on; none where it has them inside."""
    smallest: int = 32
    weights: str | None = "imagenet"
    takes_file: bool = True

    def build(self, which: str, height: int, width: int) -> keras.Model:
        """See `Backbone`."""
        application = getattr(keras.applications, self.function)
        shape = (height, width, CHANNELS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that the weights were trained at another size
                network = application(
                    weights="imagenet" if which == "imagenet" else None, include_top=False, input_shape=shape
                )
        except Exception as error:
            if which != "imagenet":
                raise
            raise MissingWeights(_absent(self.function, str(error))) from error
        if which not in ("imagenet", "none"):
            _load(network, which)
        front = self.preprocess()
        if not front:
            return network
        pixels = tensor = keras.Input(shape, name="pixels")
        for layer in front:
            tensor = layer(tensor)
        return keras.Model(pixels, network(tensor), name=network.name)


def _load(network: keras.Model, path: str) -> None:
    try:
        archive.look_at_weights(Path(path))
        network.load_weights(path)
    except DataError as error:
        raise MissingWeights(error.message) from error
    except Exception as error:
        first = str(error).partition("\n")[0]
        raise MissingWeights(
            f"{path}: these are no weights of {network.name} without its last layer ({first}); "
            "write them with model.save_weights('NAME.weights.h5') of a model made with include_top=False"
        ) from error


def _absent(function: str, said: str) -> str:
    """What to do where ImageNet's weights are not here and cannot be fetched."""
    address = ADDRESS.search(said)
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "models")
    if address is None:
        return f"the ImageNet weights of {function} cannot be loaded: {said}"
    name = address[0].rpartition("/")[2]
    return (
        f"the ImageNet weights of {function} are not on this machine and cannot be fetched from here. Fetch {name} "
        f"where there is a network (keras.applications.{function}(include_top=False) leaves it in .keras/models), and "
        f"put it into {folder}; or name a file of weights: `backbone: NAME:FILE.weights.h5`"
    )
