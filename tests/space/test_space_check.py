"""A space against the options of its plugins."""

from __future__ import annotations

from typing import Literal

import pydantic
import pytest

from searchlab.config.reader import read_text
from searchlab.errors import SpecErrors
from searchlab.options import Options, per_layer, shape, value
from searchlab.space.check import PluginOptions, check
from searchlab.space.grammar import parse


class Cnn(Options):
    """A family."""

    depth: int = shape(2, ge=1, le=8)
    width: int | list[int] = per_layer(32, count="depth", ge=1, le=4096)
    dropout: float = value(0.0, ge=0.0, lt=1.0)
    pooling: Literal["max", "mean"] = "max"
    norm: bool = True
    clip: float | None = value(None, gt=0.0)
    heads: int = shape(8, multiple_of=8)


class Ordered(Options):
    """An optimizer with a rule of its own and a required option."""

    rate: float = value(gt=0.0)
    first: float = 0.1
    last: float = 1.0

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Ordered:
        if self.first > self.last:
            raise ValueError("first must not be above last")
        return self

    @pydantic.field_validator("last")
    @classmethod
    def _not_two(cls, number: float) -> float:
        if number == 2.0:
            raise ValueError("must not be 2")
        return number


class Empty(Options):
    """No options at all."""


class Training(Options):
    """A group."""

    batch_size: int = shape(32, ge=1)


OPTIONS: PluginOptions = {
    "model": {"cnn": Cnn, "mlp": Empty},
    "optimizer": {"adam": Ordered, "sgd": Empty},
    "schedule": {"constant": Empty},
    "task": Empty,
    "training": Training,
    "augment": Empty,
}


def faults(text: str) -> list[str]:
    with pytest.raises(SpecErrors) as caught:
        check(parse(read_text(text, "f")), OPTIONS)
    return [str(error) for error in caught.value.errors]


GOOD = """
model:
  cnn:
    depth: {low: 1, high: 8}
    width: {per_layer: {low: 16, high: 256, log: true}}
    dropout: {low: 0.0, high: 0.9}
    pooling: [max, mean]
    norm: [true, false]
    clip: [null, 1]
    heads: {low: 8, high: 64, step: 8}
  mlp:
optimizer: {adam: {rate: {low: 1e-4, high: 1.0, log: true}}, sgd: }
schedule: constant
training: {batch_size: [16, 32]}
"""


def test_a_good_space_passes() -> None:
    check(parse(read_text(GOOD, "f")), OPTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dropout: {low: 0.0, high: 1.2}", "dropout must lie in [0, 1), but its range is [0.0, 1.2]."),
        ("dropout: {low: -0.1, high: 0.5}", "dropout must lie in [0, 1), but its range is [-0.1, 0.5]."),
        ("dropout: 1.0", "dropout must lie in [0, 1), but is 1.0."),
        ("dropout: [0.1, 1.5]", "dropout must lie in [0, 1), but 1.5 is among its choices."),
        (
            "dropout: {low: 0, high: 1}",
            "dropout is a real number, but both ends of its range are whole, which would try whole numbers only: "
            "write 0.0 and 1.0.",
        ),
        ("depth: {low: 1.0, high: 4.0}", "depth must be a whole number in [1, 8], but its range is [1.0, 4.0]."),
        ("depth: [1, 9]", "depth must lie in [1, 8], but 9 is among its choices."),
        (
            "pooling: [max, meen]",
            "pooling must be 'max' or 'mean', but 'meen' is among its choices. Did you mean 'mean'?",
        ),
        ("norm: no", "norm must be true or false, but is 'no'. Did you mean false?"),
        ("norm: [0, 1]", "norm must be true or false, but 0 is among its choices."),
        ("clip: 0.0", "clip must be above 0, but is 0.0."),
        ("heads: {low: 8, high: 16}", "heads must be a whole number, a multiple of 8, but its range is [8, 16]."),
        ("width: {per_layer: [0, 1]}\n    depth: 2", "width must lie in [1, 4096], but 0 is among its choices."),
        ("width: 5000", "width must lie in [1, 4096], but is 5000."),
        ("width: a", "width must be a whole number in [1, 4096], but is 'a'."),
        ("norm: {per_layer: true}\n    depth: 2", "norm cannot be per layer: model.cnn has one for all layers."),
    ],
)
def test_what_a_field_refuses_is_told_with_what_it_takes(text: str, message: str) -> None:
    assert faults(f"model:\n  cnn:\n    {text}\n") == [f"f:3:5: {message}"]


def test_unknown_names_get_their_nearest() -> None:
    found = faults("model: {cnn: {dropuot: 0.1}, mpl: }\nschedule: constnt\ntraining: {batch: 3}\n")
    assert found == [
        "f:1:1: no model is called 'mpl'. Did you mean 'mlp'? Known: cnn, mlp.",
        "f:1:15: no option of model.cnn is called 'dropuot'. Did you mean 'dropout'? "
        "Known: depth, width, dropout, pooling, norm, clip, heads.",
        "f:2:1: no schedule is called 'constnt'. Did you mean 'constant'? Known: constant.",
        "f:3:12: no option of training is called 'batch'. Did you mean 'batch_size'? Known: batch_size.",
    ]


def test_a_required_option_is_missed() -> None:
    assert faults("model: mlp\noptimizer: [adam, sgd]") == ["f:2:1: optimizer.adam must have 'rate', which is missing."]


def test_a_space_must_have_a_model() -> None:
    assert faults("schedule: constant") == ["f:1:1: the space names no model: it must have a section 'model'."]


def test_rules_between_options_are_asked_at_the_corners() -> None:
    text = "model: mlp\noptimizer: {adam: {rate: 0.1, first: {low: 0.0, high: 2.5}, last: 1.0}}"
    assert faults(text) == ["f:2:1: optimizer.adam: first must not be above last, which a corner of the space breaks."]


def test_a_rule_of_one_option_speaks_in_its_own_words() -> None:
    assert faults("model: mlp\noptimizer: {adam: {rate: 0.1, last: [1.0, 2.0]}}") == [
        "f:2:31: last: must not be 2 (its value 2.0)."
    ]


def test_a_count_by_another_name_is_noticed() -> None:
    class Blocks(Options):
        blocks: int = 1
        depth: int = 1
        width: int | list[int] = per_layer(32, count="blocks", ge=1)

    space = parse(read_text("model: {tcn: {depth: 2, width: {per_layer: [1, 2]}}}", "f"))
    with pytest.raises(SpecErrors, match=r"width is per layer of 'blocks', which model\.tcn does not set"):
        check(space, {**OPTIONS, "model": {"tcn": Blocks}})
