"""Every plugin's options are known without the heavy libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

from searchlab.errors import UnknownName
from searchlab.options import Options
from searchlab.runner.plugins import CATALOGS, SELECTED, layer_count, options_of, space_options, value_parameters
from searchlab.space import GROUPS, SELECTORS
from searchlab.tasks import TASKS

CONFIGURED = ("families", "optimizers", "schedules", "tasks", "sources", "samplers", "pruners")
"""The kinds whose plugins have `Options`; an engine may load Keras when it is looked at."""


def test_options_load_no_heavy_library() -> None:
    code = (
        "import sys; from searchlab.runner.plugins import *; from searchlab.runner.schema import *;"
        f"[options_of(CATALOGS[kind]) for kind in {CONFIGURED}]; study_schema(); space_schema();"
        "heavy = {'keras', 'tensorflow', 'optuna', 'mlflow', 'sklearn', 'plotly'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kind", CATALOGS)
def test_every_plugin_has_a_line_of_its_own(kind: str) -> None:
    catalog = CATALOGS[kind]
    assert all(catalog.summary(name) for name in catalog.names())


@pytest.mark.parametrize("task", TASKS.names())
def test_every_section_of_a_space_has_its_options(task: str) -> None:
    known = space_options(task)
    assert known.keys() == {*SELECTORS, *GROUPS}
    assert all(set(known[section]) == set(SELECTED[section].names()) for section in SELECTORS)  # type: ignore[arg-type]


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(UnknownName, match="no task is called"):
        space_options("image_clasification")


@pytest.mark.parametrize("kind", CONFIGURED)
def test_options_are_options_with_a_default_or_a_demand(kind: str) -> None:
    found = options_of(CATALOGS[kind])
    assert set(found) == set(CATALOGS[kind].names())
    for options in found.values():
        assert issubclass(options, Options)
        if not any(field.is_required() for field in options.model_fields.values()):
            options()  # validate_default: a default out of range shows here


def test_layers_are_counted_by_what_the_family_says() -> None:
    assert layer_count("model", "cnn", "width") == "depth"
    assert layer_count("model", "no_such_family", "width") == "depth"
    assert layer_count("model", "cnn", "no_such_option") == "depth"


def test_a_cohort_may_differ_in_numbers_alone() -> None:
    is_value = value_parameters("image_classification")
    values = ["optimizer", "optimizer.sgd.nesterov", "schedule", "schedule.cosine.final", "training.clip_norm"]
    assert all(map(is_value, [*values, "model.cnn.dropout", "model.mlp.l2"]))
    shapes = ["model", "model.cnn.depth", "model.cnn.width.2", "training.batch_size", "model.no_such_family.rate"]
    assert not any(map(is_value, [*shapes, "model.cnn.no_such_option", "task.no_such_option"]))
