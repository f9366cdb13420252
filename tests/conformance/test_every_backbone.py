"""What holds for every backbone, those not written yet included; with random weights where none can be had.

To build a large one takes seconds: tests that need another build of it, or its file, take a sample of them in
`make test` and all in `make test-backbones`.
"""

import importlib.util
import os
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from searchlab.models import FAMILIES
from searchlab.models.backbones import BACKBONES
from searchlab.models.naming import named
from searchlab.tasks import Pixels, Problem

sys.path.append(str(Path(__file__).parents[1] / "training"))

from tiny_backbones import file_of

NAMES = BACKBONES.names()
LARGE = {"convnext_tiny", "efficientnet_b0", "efficientnet_v2_b0", "mobilenet_v2", "mobilenet_v3_large", "resnet50"}
ALL = os.environ.get("SEARCHLAB_BACKBONES") == "all"
TRANSFER = FAMILIES.get("transfer")
PROBLEM = Problem("image", (32, 32, 3), 4, pixels=Pixels((120.0, 121.0, 122.0), (60.0, 61.0, 62.0), 0.0, 255.0))
PREPROCESSING = {
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_small": "mobilenet_v3",
    "mobilenet_v3_large": "mobilenet_v3",
    "efficientnet_b0": "efficientnet",
    "efficientnet_v2_b0": "efficientnet_v2",
    "resnet50": "resnet50",
    "convnext_tiny": "convnext",
}
"""The modules of `keras.applications` that say how pixels are prepared."""


def text_of(name, folder):
    """How a study file would name it, with weights that this machine has."""
    if BACKBONES.get(name).weights is not None:
        return f"{name}:none"
    if name == "keras_hub":
        if importlib.util.find_spec("keras_hub") is None:
            pytest.skip("keras_hub is not installed")
        return f"{name}:{_preset(folder)}"
    return f"{name}:{file_of()}"


def _preset(folder):
    import keras_hub

    network = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )
    keras_hub.layers.ResNetImageConverter(image_size=(32, 32), scale=1 / 255).save_to_preset(folder)
    network.save_to_preset(folder)
    return folder


@pytest.fixture(scope="module", params=NAMES)
def built(request, tmp_path_factory):
    """The backbone's name, the options of a study, its model, and some inputs."""
    options = TRANSFER.Options(backbone=text_of(request.param, tmp_path_factory.mktemp("preset")), unfreeze=0.3)
    assert TRANSFER.infeasible(PROBLEM, options) is None
    model = TRANSFER.build(PROBLEM, options, seed=1)
    x = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    return request.param, options, model, x


@pytest.fixture
def small(built):
    """The same, but for what is too large to be built again."""
    if built[0] in LARGE and not ALL:
        pytest.skip("make test-backbones")
    return built


def outputs(model, x, **arguments):
    return keras.ops.convert_to_numpy(model(x, **arguments))


def learn(model, x):
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    model.train_on_batch(x, np.arange(len(x)) % 4)


class TestEveryBackbone:
    def test_is_frozen_weights_statistics_and_noise(self, built):
        _, _, model, x = built
        body = model.get_layer("body")
        assert not body.trainable_variables
        assert (outputs(body, x, training=True) == outputs(body, x)).all()
        before = [weight.copy() for weight in body.get_weights()]
        learn(model, x)
        assert all((one == two).all() for one, two in zip(before, body.get_weights(), strict=True))

    def test_sees_pixels_prepared_as_its_weights_want_them(self, built):
        name, _, model, x = built
        body = model.get_layer("body")
        (network,) = (layer for layer in body.layers if isinstance(layer, keras.Model))
        if name in PREPROCESSING:
            prepare = getattr(keras.applications, PREPROCESSING[name]).preprocess_input
            inner = next((layer for layer in network.layers if layer.name == network.name), network)
            pixels = x * np.asarray(PROBLEM.pixels.deviation, np.float32) + np.asarray(PROBLEM.pixels.mean, np.float32)
            expected = outputs(inner, prepare(pixels.copy()))
            np.testing.assert_allclose(outputs(network, pixels), expected, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(outputs(body, x), expected.mean(axis=(1, 2)), rtol=1e-4, atol=1e-4)

    def test_takes_shades_of_grey_and_another_size(self, small):
        _, options, _, _ = small
        grey = Problem("image", (16, 20, 1), 4, pixels=Pixels((120.0,), (60.0,), 0.0, 255.0))
        options = options.model_copy(update={"resolution": 32})
        assert TRANSFER.infeasible(grey, options) is None
        model = TRANSFER.build(grey, options, seed=1)
        assert model.input_shape == (None, 16, 20, 1) and model.output_shape == (None, 4)

    def test_gives_the_same_numbers_after_saving_and_loading_safely(self, small, tmp_path):
        _, _, model, x = small
        model.save(tmp_path / "model.keras")
        restored = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        np.testing.assert_allclose(outputs(restored, x), outputs(model, x), rtol=1e-5, atol=1e-6)

    def test_thaws_from_the_top_and_leaves_batch_normalization(self, small):
        """Last, since it changes the model."""
        _, options, model, x = small
        options = options.model_copy(update={"layer_decay": 0.5})
        body = model.get_layer("body")
        head = [variable for variable in model.get_layer("head").trainable_variables]
        factors = TRANSFER.thaw(model, options)
        trained = model.trainable_variables
        assert (
            len(factors) == len(trained)
            and trained[-len(head) :] == head
            and factors[-len(head) :] == [1.0] * len(head)
        )
        lower = factors[: -len(head)]
        assert lower and lower == sorted(lower) and max(lower) == 0.5
        assert len(lower) < len([weight for weight in body.weights if "moving" not in weight.path])
        last_of_body = [weight for weight in body.weights if weight.path.endswith("kernel")]
        assert any(weight is variable for weight in last_of_body[-4:] for variable in trained)
        fixed = [weight for weight in body.weights if all(weight is not variable for variable in trained)]
        before = [weight.numpy().copy() for weight in fixed]
        assert not any("batch_norm" in variable.path or "_bn" in variable.path for variable in trained)
        learn(model, x)
        assert all((one == two.numpy()).all() for one, two in zip(before, fixed, strict=True))
        whole = TRANSFER.build(PROBLEM, options.model_copy(update={"unfreeze": 1.0}), seed=1)
        assert len(TRANSFER.thaw(whole, options.model_copy(update={"unfreeze": 1.0}))) > len(factors)

    def test_is_named_as_it_was_written(self, built):
        name, options, _, _ = built
        assert named(options.backbone).backbone in (name, "keras_file")
