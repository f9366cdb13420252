"""A `.keras` file of one's own, such as a model that searchlab has exported: all but its last layer.

The last dense layer, and what comes after it, is left out; of a model without one, everything stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from searchlab.errors import DataError, MissingWeights
from searchlab.lazy import lazy
from searchlab.models import archive
from searchlab.models.backbones import Backbone

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")


class KerasFile:
    """Loads the file as `models.archive` does: code in it is never run."""

    weights: str | None = None
    takes_file: bool = True
    smallest: int = 1
    blocks: str | None = None

    def build(self, which: str, height: int, width: int) -> keras.Model:
        """See `Backbone`; `height` and `width` only count where the model was made for any."""
        try:
            model = archive.load(which)
        except DataError as error:
            raise MissingWeights(error.message) from error
        trunk = _trunk(model) if hasattr(model, "inputs") and len(model.inputs) == 1 else None
        if trunk is None or len(trunk.input_shape) != 4:
            raise MissingWeights(
                f"{which}: a backbone must be a functional or sequential model of one image, (height, width, channels)"
            )
        return keras.Model(trunk.inputs[0], trunk.outputs[0], name="backbone")


def _trunk(model: Any) -> Any:
    """`model` up to what its last dense layer sees; the whole where its last layer with weights is another."""
    last = next((layer for layer in reversed(model.layers) if layer.weights), None)
    if last is None:
        return model
    if isinstance(last, keras.Model):
        inner = _trunk(last)
        return model if inner is last else keras.Model(model.inputs[0], inner(_seen_by(last, model)))
    if isinstance(last, keras.layers.Dense):
        return keras.Model(model.inputs[0], _seen_by(last, model))
    return model


def _seen_by(layer: Any, model: Any) -> Any:
    """The tensor that `layer` is given in `model`, of whose nodes it may have more in other models."""
    operations = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    node = next(node for node in layer._inbound_nodes if id(node) in operations)
    return node.input_tensors[0]


BACKBONE: Backbone = KerasFile()
