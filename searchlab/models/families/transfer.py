"""Transfer learning: a pretrained backbone without its last layer, and a small head that is trained on its features.

The backbone is frozen while the head is trained; in the last epochs (`fine_tuning`) its upper blocks are trained too,
at a lower rate (Yosinski et al. 2014, arXiv:1411.1792; rates falling from layer to layer: Howard & Ruder 2018,
arXiv:1801.06146).  Its batch normalization keeps its statistics, scale and shift for ever, and it drops nothing: small
data would spoil them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from searchlab import options
from searchlab.errors import SpecError
from searchlab.lazy import lazy
from searchlab.models import FAMILIES, Head, Staged, Tuning
from searchlab.models.backbones import BACKBONES
from searchlab.models.families.head import HeadOptions
from searchlab.models.layers import inputs_of, unfit
from searchlab.models.naming import named
from searchlab.options import shape, value
from searchlab.tasks import Pixels, Problem

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

HEAD = "head"
"""The family that heads are of; its options have the same names there."""

NOISE = ("rate", "drop_path_rate", "stddev")
"""Attributes of layers that are random while training."""


class TransferOptions(HeadOptions):
    """Settings of the `transfer` family: the head's, and those of the backbone."""

    backbone: str = shape("mobilenet_v2")
    """NAME, NAME:none, NAME:FILE.weights.h5, keras_hub:PRESET, or the .keras file of a model, from the study file's
    folder.  `searchlab list backbones` names them."""
    resolution: int | None = shape(None, ge=8, le=2048)
    """Side in pixels to which images are resized before the backbone; null leaves them as they are."""
    pooling: Literal["average", "max", "flatten"] = shape("average")
    """What of the backbone's feature maps the head sees: their means, their largest values, or all of them."""
    fine_tuning: float = shape(0.0, ge=0.0, le=1.0)
    """Share of the epochs, at the end, in which the backbone is trained too; 0 keeps it frozen."""
    unfreeze: float = shape(0.3, gt=0.0, le=1.0)
    """Share of the backbone's blocks, from the top, that fine-tuning trains."""
    tuning_rate: float = value(0.1, gt=0.0, le=1.0)
    """What the learning rate is multiplied by while fine-tuning."""
    layer_decay: float = value(1.0, gt=0.0, le=1.0)
    """What it is multiplied by once more for every block further down."""

    @pydantic.field_validator("backbone")
    @classmethod
    def _known(cls, text: str) -> str:
        try:
            named(text)
        except SpecError as error:
            raise ValueError(str(error)) from None
        return text


class Transfer:
    """Builds a backbone with a head."""

    Options: type[options.Options] = TransferOptions
    accepts: tuple[str, ...] = ("image",)

    def infeasible(self, problem: Problem, options: TransferOptions) -> str | None:
        """A kind of input it cannot take, an image smaller than the backbone takes, or a file that is not there."""
        reason = unfit(problem, "transfer", self.accepts)
        if reason:
            return reason
        name = named(options.backbone)
        height, width = _size(problem, options)
        smallest = BACKBONES.get(name.backbone).smallest
        if min(height, width) < smallest:
            return (
                f"{name.backbone} takes images of {smallest}×{smallest} pixels or more, and these have "
                f"{height}×{width}: set `resolution` to {smallest} or more, or the data's `size`."
            )
        if name.file is not None and not name.file.is_file():
            return f"there is no file {name.file} of weights."
        return None

    def build(self, problem: Problem, options: TransferOptions, seed: int) -> keras.Model:
        """A fresh head on a frozen backbone."""
        inputs = inputs_of(problem)
        body = self.body(problem, options, seed)
        head = self.head(options)
        features = Problem("vector", tuple(body.output_shape[1:]), problem.units)
        top = head.family.build(features, head.options, seed)
        return keras.Model(inputs, top(body(inputs)), name="transfer")

    def body(self, problem: Problem, options: TransferOptions, seed: int) -> keras.Model:
        """See `Staged`."""
        name = named(options.backbone)
        inputs = x = inputs_of(problem)
        if problem.pixels is not None:
            x = keras.layers.Rescaling(*_to_bytes(problem.pixels), name="pixels")(x)
        size = _size(problem, options)
        network = BACKBONES.get(name.backbone).build(name.which, *size)
        height, width, channels = network.input_shape[1:]
        wanted = (height or size[0], width or size[1])
        if wanted != tuple(x.shape[1:3]):
            x = keras.ops.image.resize(x, wanted)  # the layer `Resizing` would turn all after it to training
        x = _pooled(network(_with_channels(x, channels or x.shape[-1])), options.pooling)
        body = keras.Model(inputs, x, name="body")
        for layer in body._flatten_layers():
            for noise in NOISE:
                if isinstance(getattr(layer, noise, None), float):
                    setattr(layer, noise, 0.0)
        body.trainable = False
        return body

    def body_name(self, options: TransferOptions) -> str | None:
        """See `Staged`."""
        name = named(options.backbone)
        return None if name.which == "none" else f"{name} {options.resolution} {options.pooling}"

    def body_file(self, options: TransferOptions) -> str | None:
        """See `Staged`."""
        file = named(options.backbone).file
        return None if file is None else str(file)

    def head(self, options: TransferOptions) -> Head:
        """See `Staged`."""
        family = FAMILIES.get(HEAD)
        return Head(HEAD, family, family.Options(**options.model_dump(include=set(HeadOptions.model_fields))))

    def tuning(self, options: TransferOptions) -> Tuning | None:
        """See `Staged`."""
        return Tuning(options.fine_tuning, options.tuning_rate) if options.fine_tuning > 0.0 else None

    def thaw(self, model: keras.Model, options: TransferOptions) -> list[float]:
        """See `Staged`."""
        pattern = BACKBONES.get(named(options.backbone).backbone).blocks
        body = model.get_layer("body")
        body.trainable = True
        blocks = list(_blocks(body, pattern))
        thawed = blocks[-max(1, round(options.unfreeze * len(blocks))) :]
        factors: dict[int, float] = {}
        for layer in _leaves(body):
            layer.trainable = False
        for depth, block in enumerate(reversed(thawed), start=1):
            for layer in (part for whole in block for part in whole._flatten_layers()):
                layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
                factors |= {id(variable): options.layer_decay**depth for variable in layer.trainable_variables}
        return [factors.get(id(variable), 1.0) for variable in model.trainable_variables]


def _size(problem: Problem, options: TransferOptions) -> tuple[int, int]:
    """Height and width of what the backbone sees."""
    height, width, _ = problem.input_shape
    return (options.resolution, options.resolution) if options.resolution else (height, width)


def _to_bytes(pixels: Pixels) -> tuple[list[float], list[float]]:
    """The factor and the offset of each channel that make values from 0 to 255 of encoded ones."""
    scale = 255.0 / (pixels.high - pixels.low) if pixels.high > pixels.low else 1.0
    return [deviation * scale for deviation in pixels.deviation], [(mean - pixels.low) * scale for mean in pixels.mean]


def _with_channels(x: Any, channels: int) -> Any:
    """Shades of grey as colours, or colours as shades of grey, where the backbone wants them."""
    if x.shape[-1] == channels:
        return x
    if x.shape[-1] != 1:
        x = keras.ops.mean(x, axis=-1, keepdims=True)
    return x if channels == 1 else keras.layers.Concatenate(name="colours")([x] * channels)


def _pooled(features: Any, pooling: str) -> Any:
    """Features as a vector: from maps (batch, height, width, width), tokens (batch, tokens, width) or as they are."""
    if len(features.shape) == 2:
        return features
    if pooling == "flatten":
        return keras.layers.Flatten(name="flatten")(features)
    kind = f"Global{pooling.capitalize()}Pooling{len(features.shape) - 2}D"
    return getattr(keras.layers, kind)(name=pooling)(features)


def _blocks(body: keras.Model, pattern: str | None) -> Iterator[list[Any]]:
    """The layers of the backbone that have weights, block by block from the bottom.

    A layer of no block belongs to the one before it; without a pattern each layer that is no normalization begins one.
    """
    block: list[Any] = []
    name: str | None = None
    for layer in _leaves(body):
        if not layer.trainable_variables:
            continue
        found = re.search(pattern, layer.name) if pattern else None
        is_next = "Normalization" not in type(layer).__name__ if pattern is None else bool(found and found[1] != name)
        if is_next and block:
            yield block
            block = []
        name = found[1] if found else name
        block.append(layer)
    if block:
        yield block


def _leaves(model: keras.Model) -> Iterator[Any]:
    """The layers of `model` and of the models in it, in the order in which they are computed."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


FAMILY: Staged = Transfer()
