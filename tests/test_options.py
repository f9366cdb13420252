"""What a plugin can be told, and the role of each field."""

from __future__ import annotations

import pydantic
import pytest

from searchlab import options
from searchlab.options import Options, layer_count_of, per_layer, role_of, shape, spread, value


class Example(Options):
    """Options of an example."""

    depth: int = shape(2, ge=1)
    """Blocks."""
    rate: float = value(0.1, gt=0.0)
    width: int | list[int] = per_layer(32, count="depth", ge=1)
    plain: str = "a"


def test_fields_know_their_role() -> None:
    roles = {name: role_of(Example, name) for name in Example.model_fields}
    assert roles == {"depth": "shape", "rate": "value", "width": "shape", "plain": "shape"}


def test_per_layer_fields_know_what_counts_them() -> None:
    assert layer_count_of(Example, "width") == "depth"
    assert layer_count_of(Example, "depth") is None


def test_docstrings_become_descriptions() -> None:
    assert Example.model_json_schema()["properties"]["depth"]["description"] == "Blocks."


@pytest.mark.parametrize("given", [{"dept": 1}, {"depth": "1"}, {"depth": 1.0}, {"rate": 0.0}, {"depth": True}])
def test_options_are_strict(given: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        Example.model_validate(given)


def test_options_are_frozen() -> None:
    with pytest.raises(pydantic.ValidationError):
        Example().depth = 3  # type: ignore[misc]


def test_a_default_must_be_valid_too() -> None:
    class Wrong(Options):
        depth: int = shape(0, ge=1)

    with pytest.raises(pydantic.ValidationError):
        Wrong()


@pytest.mark.parametrize(
    ("setting", "count", "expected"),
    [(8, 3, (8, 8, 8)), ([1, 2, 3], 2, (1, 2)), ([1, 2], 4, (1, 2, 2, 2)), ("relu", 2, ("relu", "relu")), (8, 0, ())],
)
def test_a_setting_is_spread_over_layers(setting: object, count: int, expected: tuple[object, ...]) -> None:
    assert options.spread is spread
    assert spread(setting, count) == expected
