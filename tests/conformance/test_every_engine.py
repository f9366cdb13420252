"""What holds for every engine, those not written yet included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from searchlab.records import Checkpoints, Cohort, EarlyStopping, Epoch, TrainingPlan, TrialResult
from searchlab.tasks import TASKS
from searchlab.training import ENGINES

TRAINING = str(Path(__file__).parents[1] / "training")
sys.path.append(TRAINING)

import tiny_problem as tiny  # noqa: E402

SAMPLE = ENGINES.names() if keras.backend.backend() == "tensorflow" else ("population",)
"""What runs with all tests: `fit` is the same code on every backend."""
RUNNABLE = tiny.runnable(*(ENGINES.names() if os.environ.get("SEARCHLAB_ENGINES") == "all" else SAMPLE))

pytestmark = pytest.mark.parametrize("engine", RUNNABLE)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One cohort of two trials, trained once for each engine."""
    known: dict[str, Any] = {}
    for engine in RUNNABLE:
        folder = tmp_path_factory.mktemp("weights")
        trials = (tiny.trial(3), tiny.trial(4, seed=8, optimizer__adam__learning_rate=0.003))
        known[engine] = (trials, *tiny.train(engine, *trials, under=tiny.plan(weights_folder=str(folder))))
    return known


def test_every_epoch_and_every_result_comes_once(engine: str, trained: dict[str, Any]) -> None:
    _, epochs, results = trained[engine]
    assert set(results) == {3, 4}
    for number in (3, 4):
        assert [epoch.epoch for epoch in epochs[number]] == [1, 2]
        result = results[number]
        assert result.state == "complete" and result.epochs == 2
        assert result.parameter_count == 64 * 16 + 16 + 16 * 10 + 10
        assert "Total params" in result.summary
        assert result.seconds > sum(epoch.seconds for epoch in epochs[number]) > 0


def test_epochs_report_the_metrics_of_the_task(engine: str, trained: dict[str, Any]) -> None:
    _, epochs, _ = trained[engine]
    names = set(TASKS.get("image_classification").metrics)
    for epoch in epochs[3]:
        assert set(epoch.metrics) == names | {f"val_{name}" for name in names} | {"total_loss", "learning_rate"}
        assert epoch.metrics["total_loss"] > epoch.metrics["loss"]  # L2 and smoothing
        assert all(type(value) is float for value in epoch.metrics.values())


def test_the_value_is_that_of_the_best_epoch(engine: str, trained: dict[str, Any]) -> None:
    _, epochs, results = trained[engine]
    for number, result in results.items():
        curve = [epoch.metrics["val_accuracy"] for epoch in epochs[number]]
        assert result.value == max(curve) == result.metrics["val_accuracy"]
        assert result.best_epoch == curve.index(max(curve)) + 1


def test_a_cohort_of_two_equals_two_cohorts_of_one(engine: str, trained: dict[str, Any]) -> None:
    trials, epochs, _ = trained[engine]
    alone, _ = tiny.train(engine, trials[1])
    assert tiny.numbers(alone[4]) == tiny.numbers(epochs[4])


def test_another_process_gives_the_same_numbers(engine: str, trained: dict[str, Any]) -> None:
    _, epochs, _ = trained[engine]
    script = (
        f"import sys, json; sys.path.append({TRAINING!r}); import tiny_problem as tiny;"
        f"epochs, _ = tiny.train({engine!r}, tiny.trial(3)); print(json.dumps(tiny.numbers(epochs[3])))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert json.loads(answer.stdout) == tiny.numbers(epochs[3])


def test_another_seed_gives_other_numbers(engine: str, trained: dict[str, Any]) -> None:
    _, epochs, _ = trained[engine]
    other, _ = tiny.train(engine, tiny.trial(3, seed=99), under=tiny.plan(epochs=1))
    assert other[3][0].metrics["loss"] != epochs[3][0].metrics["loss"]


def test_agrees_with_a_plain_loop_over_batches(engine: str, trained: dict[str, Any]) -> None:
    """The oracle: Keras's own `train_on_batch` in the documented order, with the schedule's rate at every step."""
    from searchlab.training.order import order
    from searchlab.training.recipe import Recipe

    trials, epochs, _ = trained[engine]
    encoding, splits = tiny.problem()
    x, y = splits.train.x, splits.train.y
    recipe = Recipe.of(trials[0], tiny.plan(), encoding)
    model = recipe.model()
    rates = recipe.compile(model, len(x))
    for epoch in (1, 2):
        factors = recipe.factors(epoch, 8, [])
        rates.assign(factors)
        rows = order(trials[0].seed, epoch, len(x))
        for start in range(0, len(x), 32):
            model.train_on_batch(x[rows[start : start + 32]], y[rows[start : start + 32]])
        judged = model.evaluate(splits.validation.x, splits.validation.y, verbose=0, return_dict=True)
        told = epochs[3][epoch - 1].metrics
        assert told["val_loss"] == pytest.approx(judged["loss"], rel=1e-4)
        assert told["val_accuracy"] == pytest.approx(judged["accuracy"])
        assert told["learning_rate"] == pytest.approx(0.01 * factors[-1])


def test_the_weights_file_reproduces_the_reported_value(engine: str, trained: dict[str, Any]) -> None:
    from searchlab.training.champion import predict, restore

    trials, _, results = trained[engine]
    encoding, splits = tiny.problem()
    for trial in trials:
        result = results[trial.number]
        assert result.weights is not None and result.weights.endswith(f"trial-{trial.number:04d}.weights.npz")
        outputs = predict(restore(tiny.plan(), encoding, trial, result.weights), splits.validation.x)
        scored = TASKS.get("image_classification").per_example(encoding, splits.validation.y, outputs)
        assert np.mean(scored["accuracy"]) == pytest.approx(result.value)
        assert np.mean(scored["loss"]) == pytest.approx(result.metrics["val_loss"], rel=1e-5)


def test_a_stopped_trial_stops_and_the_others_go_on(engine: str, tmp_path: Path) -> None:
    epochs, results = tiny.train(
        engine,
        tiny.trial(0),
        tiny.trial(1),
        under=tiny.plan(weights_folder=str(tmp_path)),
        verdict=lambda epoch: epoch.trial == 0,
    )
    assert len(epochs[0]) == 1 and len(epochs[1]) == 2
    assert results[0].state == "pruned" and results[0].reason == "pruned at epoch 1"
    assert results[0].value == epochs[0][0].metrics["val_accuracy"] and results[0].weights is None
    assert results[1].state == "complete"


def test_a_trial_that_diverges_fails_and_the_others_go_on(engine: str) -> None:
    wild = {"optimizer": "sgd", "optimizer__sgd__learning_rate": 1e30, "training__clip_norm": None}
    epochs, results = tiny.train(engine, tiny.trial(0, **wild), tiny.trial(1))
    assert results[0].state == "failed" and results[0].reason == "diverged at epoch 1"
    assert results[0].value is None and results[0].best_epoch is None
    assert epochs[0] == [] and results[1].state == "complete"


def test_an_impossible_model_fails_with_the_family_s_sentence(engine: str) -> None:
    from searchlab.models import FAMILIES

    shape = {"model": "cnn", "model__cnn__depth": 8}
    family = FAMILIES.get("cnn")
    sentence = family.infeasible(tiny.problem()[0].problem, family.Options(depth=8))
    assert sentence
    epochs, results = tiny.train(engine, tiny.trial(0, **shape), under=tiny.plan(epochs=1))
    assert results[0].state == "failed" and results[0].reason == f"infeasible: {sentence}"
    assert epochs[0] == []


@pytest.mark.parametrize(
    ("error", "reason", "width"),
    [
        (MemoryError(), "out of memory", 21),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), "out of memory", 22),
        (ZeroDivisionError("one line\nand another"), "ZeroDivisionError: one line", 23),
    ],
)
def test_an_error_inside_a_trial_ends_that_trial_alone(
    engine: str, error: Exception, reason: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The width is one that no engine has seen: an engine may keep what it built."""
    from searchlab.models import FAMILIES

    family = FAMILIES.get("mlp")
    build = family.build

    def fail_once(*arguments: Any) -> Any:
        monkeypatch.setattr(family, "build", build)
        raise error

    monkeypatch.setattr(family, "build", fail_once)
    shape = {"model__mlp__width": width}
    _, results = tiny.train(engine, tiny.trial(0, **shape), tiny.trial(1, **shape), under=tiny.plan(epochs=1))
    assert results[0].state == "failed" and results[0].reason == reason
    assert "fail_once" in results[0].detail
    assert results[1].state == "complete"


def test_early_stopping_is_honoured(engine: str) -> None:
    patient = tiny.plan(epochs=5, early_stopping=EarlyStopping(patience=2, min_delta=1.0))
    epochs, results = tiny.train(engine, tiny.trial(0), under=patient)
    assert len(epochs[0]) == results[0].epochs == 3
    assert results[0].state == "complete"
    assert results[0].value == max(epoch.metrics["val_accuracy"] for epoch in epochs[0])


def test_a_lower_objective_can_be_the_better_one(engine: str) -> None:
    epochs, results = tiny.train(engine, tiny.trial(0), under=tiny.plan(objective=tiny.LOSS))
    assert results[0].value == min(epoch.metrics["val_loss"] for epoch in epochs[0])


def test_half_precision_is_used_and_left_behind(engine: str) -> None:
    import keras

    epochs, results = tiny.train(engine, tiny.trial(0), under=tiny.plan(epochs=1, precision="mixed_bfloat16"))
    full, _ = tiny.train(engine, tiny.trial(0), under=tiny.plan(epochs=1))
    assert results[0].state == "complete"
    assert epochs[0][0].metrics["loss"] != full[0][0].metrics["loss"]
    assert epochs[0][0].metrics["loss"] == pytest.approx(full[0][0].metrics["loss"], rel=0.05)
    assert keras.config.dtype_policy().name == "float32"


RESUMED: dict[str, dict[str, Any]] = {
    "mlp": {"model__mlp__batch_norm": True, "schedule": "plateau"},
    "cnn": {
        "model": "cnn",
        "model__cnn__depth": 1,
        "model__cnn__width": 4,
        "model__cnn__dropout": 0.3,
        "optimizer": "sgd",
        "optimizer__sgd__learning_rate": 0.05,
        "optimizer__sgd__momentum": 0.9,
    },
}


def interrupted(engine: str, trials: tuple[Any, ...], plan: TrainingPlan, *, after: int) -> dict[int, list[Epoch]]:
    """The epochs of a training that is left after so many reports."""
    told: dict[int, list[Epoch]] = {one.number: [] for one in trials}
    progress = ENGINES.get(engine).train(Cohort(trials), plan, *tiny.problem())
    item = next(progress)
    for count in range(1, after + 1):
        assert not isinstance(item, TrialResult)
        for epoch in item:
            told[epoch.trial].append(epoch)
        if count < after:
            item = progress.send(frozenset())
    progress.close()
    return told


@pytest.mark.parametrize("kind", RESUMED)
def test_d6_a_training_that_was_interrupted_is_that_of_one_that_was_not(engine: str, kind: str, tmp_path: Path) -> None:
    stopping = EarlyStopping(patience=2)
    trials = (tiny.trial(3, **RESUMED[kind]), tiny.trial(4, seed=8, **RESUMED[kind]))

    def plan(name: str) -> TrainingPlan:
        kept = Checkpoints(str(tmp_path / name / "checkpoints"), "s1")
        weights = str(tmp_path / name / "weights")
        return tiny.plan(epochs=7, early_stopping=stopping, weights_folder=weights, checkpoints=kept)

    whole, expected = tiny.train(engine, *trials, under=plan("whole"))
    first = interrupted(engine, trials, plan("halves"), after=2)
    before = sum(len(some) for some in first.values())
    assert 0 < before < sum(len(some) for some in whole.values())
    second, results = tiny.train(engine, *trials, under=plan("halves"))
    for number in (3, 4):
        assert tiny.numbers(second[number]) == tiny.numbers(whole[number])  # those before are reported again
        assert results[number].best_epoch == expected[number].best_epoch
        assert results[number].epochs == expected[number].epochs
        assert results[number].resumed_from == (len(first[number]) or None)
        assert expected[number].resumed_from is None
        assert [e.seconds for e in second[number]][: len(first[number])] == [e.seconds for e in first[number]]
        told, wanted = (np.load(str(some[number].weights)) for some in (results, expected))
        assert all(np.array_equal(told[name], wanted[name]) for name in wanted.files)


def test_a_training_that_was_left_at_its_last_epoch_is_not_done_again(engine: str, tmp_path: Path) -> None:
    one = tiny.trial(3)
    kept = Checkpoints(str(tmp_path / "checkpoints"), "s1", every=1000.0)
    plan = tiny.plan(epochs=2, weights_folder=str(tmp_path / "weights"), checkpoints=kept)
    first = interrupted(engine, (one,), plan, after=2)
    second, results = tiny.train(engine, one, under=plan)
    assert results[3].resumed_from == 2 and results[3].state == "complete" and Path(str(results[3].weights)).exists()
    assert tiny.numbers(second[3]) == tiny.numbers(first[3])
