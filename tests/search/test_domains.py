"""Domains as Optuna knows them, and their points."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import optuna
import pytest

from searchlab.records import TrialResult
from searchlab.search import counting, encoding
from searchlab.search.domains import at, distribution, heard, some, told, unit_of
from searchlab.space import Choice, Condition, Domain, Fixed, Float, Int, Parameter, Space
from searchlab.space.measure import holds, size

DOMAINS: list[Domain] = [
    Choice((1, 2, 3)),
    Choice((None, "a", 2.5, 7)),
    Choice((True, 1, 1.0, False, 0)),
    Int(3, 9),
    Int(1, 4, step=2),
    Int(10, 31, step=5),
    Int(1, 1000, log=True),
    Int(4, 4),
    Float(0.0, 1.0),
    Float(1e-5, 1e-1, log=True),
    Float(0.0, 0.5, step=0.1),
    Float(0.1, 1.0, step=0.2),
    Float(2.0, 2.0),
]
UNITS = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999999]


@pytest.mark.parametrize("domain", DOMAINS, ids=repr)
class TestEveryDomain:
    def test_its_points_lie_in_it_and_in_its_distribution(self, domain: Domain) -> None:
        for unit in UNITS:
            value = at(domain, unit)
            assert holds(domain, value)
            known = distribution(domain)
            assert known._contains(known.to_internal_repr(told(domain, value)))

    def test_optuna_draws_values_of_it(self, domain: Domain, recwarn: pytest.WarningsRecorder) -> None:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(20):
            trial = study.ask({"x": distribution(domain)})
            assert holds(domain, heard(domain, trial.params["x"]))
        assert not recwarn.list

    def test_a_point_leads_back_to_itself(self, domain: Domain) -> None:
        for unit in UNITS:
            value = at(domain, unit)
            again = at(domain, unit_of(domain, value))
            assert type(again) is type(value)
            assert again == pytest.approx(value) if isinstance(value, float) else again == value

    def test_some_points_are_different_and_lie_in_it(self, domain: Domain) -> None:
        for most in (1, 2, 4):
            points = some(domain, most)
            assert all(holds(domain, point) for point in points)
            assert len({json.dumps(point) for point in points}) == len(points)
            assert len(points) <= most or isinstance(domain, Choice)


@pytest.mark.parametrize("domain", [Choice((True, 1, 1.0)), Int(1, 3), Int(10, 31, step=10), Float(0, 0.2, step=0.1)])
def test_each_value_has_an_equal_share(domain: Domain) -> None:
    counts = Counter(json.dumps(at(domain, i / 300)) for i in range(300))
    assert len(counts) == 3
    assert all(98 <= number <= 102 for number in counts.values())


def test_few_points_hold_both_ends_and_the_logarithm() -> None:
    assert some(Float(1e-4, 1e-1, log=True), 4) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
    assert some(Int(1, 3), 4) == [1, 2, 3]
    assert some(Int(0, 100), 3) == [0, 50, 100]


def test_choices_that_python_holds_equal_stay_apart() -> None:
    domain = Choice((True, 1))
    assert [heard(domain, told(domain, value)) is value for value in domain.values] == [True, True]


SPACE = Space(
    (
        Parameter("model", Choice(("cnn", "mlp"))),
        Parameter("model.cnn.depth", Int(1, 3), Condition("model", ("cnn",))),
        *(
            Parameter(f"model.cnn.width.{n}", Choice((16, 32)), Condition("model.cnn.depth", tuple(range(n, 4))))
            for n in (1, 2, 3)
        ),
        Parameter("model.mlp.bias", Choice((True, False)), Condition("model", ("mlp",))),
        Parameter("training.clip", Fixed(None)),
        Parameter("training.batch_size", Choice((8, 16, 32))),
    )
)


def points(parameter: Parameter) -> Any:
    return some(parameter.domain, 10)


class TestCounting:
    def test_counts_each_branch_once(self) -> None:
        assert counting.count(SPACE, points) == ((2 + 4 + 8) + 2) * 3 == size(SPACE)

    def test_lists_every_configuration_once(self) -> None:
        number = counting.count(SPACE, points)
        listed = {counting.configuration(SPACE, points, index).digest() for index in range(number)}
        assert len(listed) == number

    def test_is_quick_where_the_list_would_be_endless(self) -> None:
        wide = Space(tuple(Parameter(f"p{n}", Int(1, 9)) for n in range(200)))
        assert counting.count(wide, points) == 9**200
        assert counting.configuration(wide, points, 9**200 - 1).values["p0"] == 9

    @pytest.mark.parametrize("number", [1, 2, 3, 10, 42, 97])
    def test_the_walk_visits_everything_once_a_round(self, number: int) -> None:
        for start in (0, number):
            walk = [counting.scattered(start + index, number, 5) for index in range(number)]
            assert sorted(walk) == list(range(number))


class TestEncoding:
    def test_numbers_that_json_lacks_survive_it(self) -> None:
        result = TrialResult(3, "failed", math.nan, metrics={"val_loss": math.inf, "loss": 0.5})
        text = json.dumps(encoding.result_to_json(result), allow_nan=False)
        again = encoding.result_from_json(json.loads(text))
        assert again.metrics == result.metrics
        assert again.value is not None and math.isnan(again.value)

    def test_a_space_survives_json(self) -> None:
        space = Space((*SPACE.parameters, *(Parameter(f"x{n}", domain) for n, domain in enumerate(DOMAINS))))
        again = encoding.space_from_json(json.loads(json.dumps(encoding.space_to_json(space))))
        assert again == space
        assert again.digest() == space.digest()
