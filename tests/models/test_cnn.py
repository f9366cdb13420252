"""What is special about convolutional networks."""

import pytest

from searchlab.models import FAMILIES
from searchlab.tasks import Problem

CNN = FAMILIES.get("cnn")
DIGITS = Problem("image", (8, 8, 1), 10)


def shapes(**options):
    """The output shape of every layer by its name, without the batch."""
    model = CNN.build(DIGITS, CNN.Options(**options), seed=0)
    return {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("size", [(8, 8), (7, 20), (1, 1), (28, 28)])
def test_an_image_too_small_is_refused_exactly_where_building_would_fail(pooling, size):
    problem = Problem("image", (*size, 1), 2)
    for depth in range(1, 8):
        options = CNN.Options(depth=depth, width=2, pooling=pooling)
        if CNN.infeasible(problem, options) is None:
            CNN.build(problem, options, seed=0)
        else:
            with pytest.raises(ValueError):
                CNN.build(problem, options, seed=0)


def test_the_refusal_says_which_depth_would_do():
    reason = CNN.infeasible(DIGITS, CNN.Options(depth=5))
    assert "depth of 4, not for 5" in reason
    assert CNN.infeasible(DIGITS, CNN.Options(depth=5, pooling="stride")) is None


@pytest.mark.parametrize("pooling", ["max", "average", "stride"])
def test_images_are_halved_between_blocks_and_not_after_the_last(pooling):
    assert [shapes(depth=3, pooling=pooling)[f"activation_{i}"][0] for i in (1, 2, 3)] == [8, 4, 2]
    assert [shapes(depth=3, pooling="none")[f"activation_{i}"][0] for i in (1, 2, 3)] == [8, 8, 8]


def test_widths_and_kernels_go_by_layer_and_growth_multiplies_them():
    found = shapes(depth=3, width=[4, 8, 6], kernel=[1, 3, 5])
    assert [found[f"conv_{i}"][-1] for i in (1, 2, 3)] == [4, 8, 6]
    found = shapes(depth=3, width=4, growth=2.0)
    assert [found[f"conv_{i}"][-1] for i in (1, 2, 3)] == [4, 8, 16]


def test_a_shortcut_is_projected_only_where_shapes_differ():
    assert "shortcut_1" in shapes(depth=2, width=4, residual=True)
    assert "shortcut_2" not in shapes(depth=2, width=4, residual=True)
    assert "shortcut_2" in shapes(depth=2, width=4, residual=True, pooling="stride")
    assert "shortcut_2" in shapes(depth=2, width=[4, 8], residual=True)


def test_the_head_sees_means_or_every_pixel():
    assert shapes(depth=2, width=4)["average"] == (4,)
    assert shapes(depth=2, width=4, head="flatten")["flatten"] == (4 * 4 * 4,)


def test_each_block_has_as_many_convolutions_as_asked():
    names = [name for name in shapes(depth=2, convolutions=3, residual=True) if name.startswith("conv")]
    assert names == ["conv_1_1", "conv_1_2", "conv_1_3", "conv_2_1", "conv_2_2", "conv_2_3"]
