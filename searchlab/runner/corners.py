"""The models at the corners of a space: what `searchlab show --build` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from searchlab.models import FAMILIES
from searchlab.runner.home import Home
from searchlab.runner.lab import assemble
from searchlab.runner.watch import Nobody
from searchlab.space import Params, Space, Value
from searchlab.space.measure import corners
from searchlab.spec import StudySpec
from searchlab.training.quiet import load_quietly


def corner_summaries(spec: StudySpec, home: Home) -> Iterator[list[str]]:
    """A few lines for each corner of the space: the values, then the model as Keras prints it, or why there is none.

    Corners are all-low and all-high, for every combination of choices that own children.
    """
    load_quietly()
    lab = assemble(spec, home, Nobody())
    problem = lab.encoding.problem
    for params, values in model_corners(spec.space):
        pick = params.pick("model")
        words = ", ".join(f"{name}={value}" for name, value in values.items())
        family = FAMILIES.get(pick.name)
        options = family.Options(**lab.plan.here(pick.options))
        fault = family.infeasible(problem, options)
        if fault is not None:
            yield [f"{pick.name}: {words}", f"cannot be built: {fault}"]
            continue
        lines: list[str] = []
        family.build(problem, options, 0).summary(print_fn=lines.append, line_length=100)
        yield [f"{pick.name}: {words}", *"\n".join(lines).splitlines()]


def model_corners(space: Space) -> Iterator[tuple[Params, Mapping[str, Value]]]:
    """The corners of the space whose models differ, each with the values of its model's options."""
    seen = set()
    for params in corners(space):
        values = _model_values(params)
        key = (params.pick("model").name, tuple(values.items()))
        if key not in seen:  # corners that differ in the optimizer only have the same model
            seen.add(key)
            yield params, values


def _model_values(params: Params) -> dict[str, Value]:
    return {
        name.split(".", 2)[2]: value
        for name, value in params.values.items()
        if name.count(".") >= 2 and name.startswith("model.")
    }
