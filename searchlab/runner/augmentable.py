"""Whether a study's examples can be changed as the group `augment` of its space asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from searchlab.errors import SpecError
from searchlab.models.augment import MIXED, AugmentOptions, infeasible
from searchlab.space import Choice, Fixed, Parameter, Space, Value
from searchlab.tasks import TASKS, Classifier, Problem


def faults_before_data(space: Space, task: str) -> Iterator[SpecError]:
    """What is known without looking at the data: `task` must learn from images, and mix classes only."""
    asked = _asked(space)
    accepts = TASKS.get(task).accepts
    if asked and "images" not in accepts:
        yield SpecError(f"augment changes images, but {task} learns from {' or '.join(accepts)}.", asked[0].mark)
    for parameter in asked:
        field = _field(parameter)
        if field in MIXED and not isinstance(TASKS.get(task), Classifier):
            yield SpecError(
                f"{field} mixes the classes of examples, but {task} has none; leave it out.", parameter.mark
            )


def refuse(space: Space, problem: Problem) -> None:
    """Hold every way of augmenting against the examples as they are; the space has been checked.

    Raises:
        SpecError: They are no images, or none that it can be done with.
    """
    for parameter in _asked(space):
        for value in _values(parameter):
            asked: dict[str, Any] = {_field(parameter): value}
            reason = infeasible(problem, AugmentOptions(**asked))
            if reason is not None:
                raise SpecError(reason, parameter.mark)


def _asked(space: Space) -> list[Parameter]:
    """The parameters that may switch something on, faulty ones included."""
    fields = AugmentOptions.model_fields
    return [
        parameter
        for parameter in space.parameters
        if parameter.name.startswith("augment.")
        and _field(parameter) in fields
        and any(value != fields[_field(parameter)].default for value in _values(parameter))
    ]


def _field(parameter: Parameter) -> str:
    return parameter.name.removeprefix("augment.")


def _values(parameter: Parameter) -> tuple[Value, ...]:
    """All values of a choice, the upper end of a range."""
    domain = parameter.domain
    if isinstance(domain, Fixed):
        return (domain.value,)
    return domain.values if isinstance(domain, Choice) else (domain.high,)
